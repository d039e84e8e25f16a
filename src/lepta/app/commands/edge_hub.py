"""Take what devices tell, each record once, and give out the bundle that is published.

For tests and small fleets: one process over one folder. The folder holds `key` (the API key, made
at the first start: copy it to each device), `records.sqlite` and the pieces of published bundles.
The hub speaks http on this machine only; put a proxy with TLS before it for devices elsewhere.

Examples:
  lepta edge hub fleet
  lepta edge publish fleet ct.lepta       # while the hub runs, or before
  lepta edge status fleet
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field as Option

from lepta.core.events import Context
from lepta.edge.agent.config import HubConfig


class Options(HubConfig):
    """Options of ``lepta edge hub``."""

    folder: Path = Option(
        description="Folder of the hub; made where it is missing.",
        json_schema_extra={"positional": True, "metavar": "FOLDER"},
    )


def run(options: Options, context: Context) -> int:
    """Run until stopped."""
    from lepta.edge.agent.running import run_hub

    config = HubConfig.parse({k: getattr(options, k) for k in HubConfig.model_fields})
    run_hub(options.folder, config, context)
    return 0
