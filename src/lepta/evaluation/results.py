"""The result of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import Manifest, Measured
from lepta.core.errors import ConfigError
from lepta.core.files import write_text
from lepta.tasks import Task
from lepta.tasks.classification import Classification
from lepta.tasks.metrics import METRICS
from lepta.tasks.metrics.base import Metric
from lepta.tasks.metrics.decisions import confusion

if TYPE_CHECKING:
    from lepta.evaluation.checking import CheckReport


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a model did on rows whose truth is known.

    Attributes:
        name: name of the model.
        task: what was predicted.
        metrics: every metric of the task with its interval.
        y: truth, class codes or numbers, (rows,), or arrays (rows, ...).
        scores: what the model answered, (rows, width), or arrays (rows, ...).
        groups: group codes (rows,), or None.
        weights: row weights (rows,), or None.
        split: name of the split measured on.
        level: confidence level of the intervals.
        seed: seed of the resampling.
        notes: what a reader should know before believing the figures.
        rows: names of the rows (paths, ids), for the list of worst errors; may be empty.
        manifest: what the bundle says of itself, where there is one.
        picture: gives the image (height, width, channels) of a row, where rows have one.
    """

    name: str
    task: Task
    metrics: tuple[Measured, ...]
    y: NDArray[Any]
    scores: NDArray[Any]
    groups: NDArray[np.int64] | None = None
    weights: NDArray[np.float64] | None = None
    split: str = "test"
    level: float = 0.95
    seed: int = 0
    notes: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    manifest: Manifest | None = None
    picture: Callable[[int], NDArray[Any]] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, name: str) -> Measured:
        for measured in self.metrics:
            if measured.name == name:
                return measured
        known = ", ".join(measured.name for measured in self.metrics)
        raise ConfigError(f"There is no metric {name!r} here.", fix=f"Measured: {known}.")

    @property
    def primary(self) -> Measured:
        """The metric that models of this task are chosen by."""
        return self.metrics[0]

    @property
    def threshold(self) -> float:
        """Probability from which the positive class is answered; 0.5 where there is none."""
        return float(getattr(self.task, "threshold", 0.5))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class labels in code order; empty for numbers."""
        return tuple(getattr(self.task, "classes", ()))

    @property
    def codes(self) -> NDArray[np.int64]:
        """Code of the class answered in each row, (rows,); of a classification."""
        assert isinstance(self.task, Classification)  # noqa: S101
        return self.task.codes(self.scores)

    @property
    def extent(self) -> str:
        """Rows and groups measured on, in words."""
        text = f"{len(self):,} row{'s' if len(self) != 1 else ''}"
        if self.groups is None:
            return text
        return f"{text} of {len(np.unique(self.groups)):,} groups"

    def confusion(self) -> NDArray[np.int64] | None:
        """Return counts (true class, answered class), None for numbers."""
        if not self.task.is_classification:
            return None
        return confusion(self.y, self.codes, len(self.classes))

    def per_class(self) -> list[dict[str, Any]]:
        """Return rows, precision, recall and F1 of each class; empty for numbers."""
        table = self.confusion()
        if table is None:
            return []
        hits, true, said = np.diag(table), table.sum(axis=1), table.sum(axis=0)
        return [
            {
                "class": label,
                "rows": int(true[k]),
                "precision": _share(hits[k], said[k]),
                "recall": _share(hits[k], true[k]),
                "f1": _share(2 * hits[k], true[k] + said[k]),
            }
            for k, label in enumerate(self.classes)
        ]

    def worst(self, count: int = 12) -> NDArray[np.int64]:
        """Return row numbers (from 0) of the largest errors, most confident first.

        Classification: only wrong answers count. Else what the task calls an error.
        """
        if not self.task.is_classification:
            errors = self.task.row_errors(self.y, self.scores)
            return np.argsort(-(np.empty(0) if errors is None else errors), kind="stable")[:count]
        wrong = np.flatnonzero(self.codes != self.y)
        truth = self.scores[wrong, self.y[wrong]]
        return wrong[np.argsort(truth, kind="stable")][:count]

    def __str__(self) -> str:
        lines = [f"{self.name or 'model'} on {self.split}, {self.extent}", ""]
        lines += table_of(self.metrics, self.level)
        if self.notes:
            lines += ["", *(f"note: {note}" for note in self.notes)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: metrics, per-class table, confusion counts, notes."""
        table = self.confusion()
        return {
            "name": self.name,
            "task": self.task.model_dump(mode="json"),
            "split": self.split,
            "rows": len(self),
            "groups": None if self.groups is None else len(np.unique(self.groups)),
            "level": self.level,
            "metrics": [measured.model_dump(mode="json") for measured in self.metrics],
            "per_class": self.per_class(),
            "confusion": None if table is None else table.tolist(),
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """Return :meth:`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)

    def html(self, *, checks: CheckReport | None = None) -> str:
        """Return the report: one page with nothing to fetch.

        Args:
            checks: what :func:`lepta.check` found in the data, to be shown with the figures.
        """
        from lepta.evaluation.report import page

        return page(self, checks)

    def save(self, path: Path | str, *, checks: CheckReport | None = None) -> Path:
        """Write the report (``.html``) or the figures (``.json``), atomically.

        Raises:
            ConfigError: the name ends in something else.
        """
        target = Path(path)
        if target.suffix not in (".html", ".json"):
            raise ConfigError(
                f"An evaluation is saved as .html or .json, not {target.suffix or target.name!r}."
            )
        write_text(target, self.to_json() if target.suffix == ".json" else self.html(checks=checks))
        return target


def table_of(metrics: Sequence[Measured], level: float) -> list[str]:
    """Return the lines of an aligned table: metric, value, interval, method."""
    rows = [
        (
            metric_of(measured).label,
            figure(measured.value),
            interval_text(measured),
            measured.method,
        )
        for measured in metrics
    ]
    head = ("metric", "value", f"{level * 100:g} % interval", "method")
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(4)]
    return [
        f"  {a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}  {d}".rstrip()
        for a, b, c, d in [head, *rows]
    ]


def metric_of(measured: Measured) -> Metric:
    """Return the metric that was measured."""
    metric: Metric = METRICS.get(measured.name)
    return metric


def figure(value: float | None) -> str:
    """Return a number as people read it: three decimals below 10, else four digits."""
    if value is None:
        return "undefined"
    if abs(value) < 10 and (abs(value) >= 0.0005 or value == 0):
        return f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:.4g}"


def interval_text(measured: Measured) -> str:
    """Return "[low, high]", or a dash."""
    if measured.low is None or measured.high is None:
        return "–"  # noqa: RUF001
    return f"[{figure(measured.low)}, {figure(measured.high)}]"


def _share(above: Any, below: Any) -> float | None:
    return float(above) / float(below) if below else None
