"""What a tracker is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import BeforeValidator

from lepta.core.registry import Registry

Status = Literal["finished", "failed", "killed"]

TRACKERS = Registry(
    "lepta.trackers",
    "tracker",
    {
        "mlflow": "lepta.store.trackers.mlflow:MlflowTracker",
        "tensorboard": "lepta.store.trackers.tensorboard:TensorboardTracker",
        "wandb": "lepta.store.trackers.wandb:WandbTracker",
    },
)
"""Trackers by name: classes made with a :class:`Plan` and a context."""


@dataclass(frozen=True)
class Figure:
    """One value of one step.

    Attributes:
        name: stage and value: "training/loss".
        step: units of the stage that were done: epochs, rounds.
        time: seconds since 1970.
    """

    name: str
    value: float
    step: int
    time: float


@dataclass(frozen=True)
class Plan:
    """What is known of a run when it begins.

    Attributes:
        experiment: what it belongs to; runs of one are compared.
        name: of the run.
        params: options, by name.
        folder: for files; a tracker makes one of its own in it. None is ``.lepta``.
    """

    experiment: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None


class Tracker(Protocol):
    """Keeps the figures of one run.

    It is made where the run begins. One thread at a time then calls it; :meth:`log` is never
    called by the thread that trains, and may take its time.
    """

    def log(self, figures: Sequence[Figure]) -> None:
        """Keep figures, in order of time."""

    def finish(self, metrics: Mapping[str, float], params: Mapping[str, Any]) -> None:
        """Keep the final metrics of the run, and what became known on the way."""

    def keep(self, name: str, bundle: Path) -> str:
        """Keep a bundle file as the next version of the model ``name``.

        Returns:
            A line that says where it is found; empty where the tracker keeps no files.
        """

    def end(self, status: Status) -> None:
        """Write what is left, and close."""


def words(value: Any) -> Any:
    """Return the names in "mlflow,wandb", or in several such texts; "none" is none."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        return value
    names = [name.strip() for part in parts for name in part.split(",")]
    return tuple(name for name in dict.fromkeys(names) if name not in ("", "none"))


Names = Annotated[tuple[str, ...], BeforeValidator(words)]
"""Names of trackers; accepts "mlflow,wandb"."""
