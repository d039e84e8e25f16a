"""List the training runs of a project, the newest first.

The store is the folder .lepta, or what MLFLOW_TRACKING_URI names.

Examples:
  lepta runs
  lepta runs ct --metrics auroc,log_loss
  lepta runs --store http://mlflow.example.org --json
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic import Field as Option

from lepta.app.output import show, show_json, table
from lepta.core.config import Config
from lepta.core.events import Context

if TYPE_CHECKING:
    from lepta.store import RunInfo

_SHOWN = 5


class Options(Config):
    """Options of ``lepta runs``."""

    experiment: str | None = Option(
        default=None,
        description="Only the runs of this experiment.",
        json_schema_extra={"positional": True},
    )
    metrics: tuple[str, ...] = Option(
        default=(), description=f"Metrics to show; the first {_SHOWN} by default."
    )
    limit: int = Option(default=20, ge=1, description="How many runs to show.")
    store: str | None = Option(
        default=None,
        description="A folder or an MLflow URI.",
        json_schema_extra={"metavar": "STORE"},
    )
    json_: bool = Option(default=False, alias="json", description="Print JSON.")


def run(options: Options, context: Context) -> int:
    """Print the runs."""
    from lepta.store import Store

    found = Store(options.store, context=context).runs(options.experiment)[: options.limit]
    if options.json_:
        show_json([_plain(info) for info in found])
    elif found:
        names = options.metrics or _final(found)
        show(
            table(
                ["started", "experiment", "name", "status", *names], [_row(i, names) for i in found]
            )
        )
    else:
        show("No runs yet; `lepta fit` makes one.")
    return 0


def _final(found: list[RunInfo]) -> tuple[str, ...]:
    """Return the first metrics, those of the finished model before those of its training."""
    names = dict.fromkeys(name for info in found for name in info.metrics)
    return tuple(sorted(names, key=lambda name: "/" in name))[:_SHOWN]


def _row(info: RunInfo, metrics: tuple[str, ...]) -> list[str]:
    started = info.started.astimezone().strftime("%Y-%m-%d %H:%M")
    values = [f"{info.metrics[name]:.4g}" if name in info.metrics else "" for name in metrics]
    return [started, info.experiment, info.name, info.status, *values]


def _plain(info: RunInfo) -> dict[str, object]:
    metrics = {k: v if v == v else None for k, v in info.metrics.items()}  # noqa: PLR0124
    return asdict(info) | {"started": info.started.isoformat(), "metrics": metrics}
