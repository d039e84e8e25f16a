"""Answer predictions over HTTP until stopped (Ctrl-C or SIGTERM).

The service speaks the Open Inference Protocol v2, and takes plain JSON rows or uploaded files at
/predict/NAME; a page at /docs shows how. It listens on this machine only unless told otherwise.

Examples:
  lepta serve ct.lepta
  lepta serve ct.lepta churn.lepta --port 9000
  lepta serve ct@champion --host 0.0.0.0
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field as Option

from lepta.core.events import Context
from lepta.serving.config import ServeConfig


class Options(ServeConfig):
    """Options of ``lepta serve``."""

    bundles: tuple[str, ...] = Option(
        min_length=1,
        description="Bundles to serve: files, or names in the store such as ct@champion.",
        json_schema_extra={"positional": True, "metavar": "NAME.lepta"},
    )


def run(options: Options, context: Context) -> int:
    """Serve until stopped."""
    from lepta.serving import serve

    config = ServeConfig.parse({k: getattr(options, k) for k in ServeConfig.model_fields})
    serve([_locate(name, context) for name in options.bundles], config=config, context=context)
    return 0


def _locate(name: str, context: Context) -> Path:
    path = Path(name)
    if path.exists() or path.suffix == ".lepta":
        return path
    from lepta.store import Store

    return Store(context=context).resolve(name)
