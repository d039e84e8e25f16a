r"""Predict on a device, keep its data there, tell profiles and metrics to a hub, take updates.

Programs of the device ask POST http://127.0.0.1:8090/predict, or lay files into a folder that is
watched. What the hub is told are windows: counts, means and histograms, never a value, and nothing
of fewer than five rows. They wait on the disk while the hub cannot be reached, and arrive once.
New bundles must be signed, pass their own examples here, and do no worse than the one before;
otherwise the device goes back to it.

The folder keeps all of a device: its name, its bundles, its spool. It may be killed at any time.

Examples:
  lepta edge run device --bundle ct.lepta                # predict; no hub
  lepta edge run device --hub.url https://hub.example.org --hub.key-file key \
      --update.public-key public.pem
  lepta edge run device --bundle ct.lepta --watch.inbox scans --no-listen
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field as Option

from lepta.core.events import Context
from lepta.edge.agent.config import AgentConfig


class Options(AgentConfig):
    """Options of ``lepta edge run``."""

    folder: Path = Option(
        description="Folder of the device; made where it is missing.",
        json_schema_extra={"positional": True, "metavar": "FOLDER"},
    )
    bundle: Path | None = Option(
        default=None,
        description="Bundle to begin with; a device that has one already keeps its own.",
        json_schema_extra={"metavar": "NAME.lepta"},
    )


def run(options: Options, context: Context) -> int:
    """Run until stopped."""
    from lepta.edge.agent.running import run_agent

    config = AgentConfig.parse({k: getattr(options, k) for k in AgentConfig.model_fields})
    run_agent(options.folder, config, context, options.bundle)
    return 0
