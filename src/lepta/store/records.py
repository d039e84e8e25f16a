"""What the store answers: runs, models and their versions, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class RunInfo:
    """One run of an experiment.

    Attributes:
        status: "running", "finished", "failed" or "killed".
        started: when it began (UTC).
        metrics: the last value of every metric, under the names it was logged with.
        params: parameters as text.
    """

    id: str
    name: str
    experiment: str
    status: str
    started: datetime
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    Attributes:
        version: counts from 1.
        aliases: names that point at this version ("champion").
        sha256: hash of the bundle file.
        run_id: the run whose artefact it is.
        created: when it was registered (UTC).
        metrics: the metrics in the bundle's manifest.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    sha256: str
    run_id: str
    created: datetime
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A registered model and its versions, the newest first."""

    name: str
    versions: tuple[ModelVersion, ...]

    @property
    def aliases(self) -> dict[str, int]:
        """Aliases and the versions they point at."""
        return {alias: v.version for v in self.versions for alias in v.aliases}
