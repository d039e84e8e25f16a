"""What is known of each candidate: held-out scores, losses, models, seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.evaluation.calibration import fit_temperature
from lepta.models.learner import Fitted, row_weights
from lepta.tasks import Task
from lepta.tuning.candidates import metric_to_choose_by
from lepta.tuning.options import FitOptions
from lepta.tuning.search.folding import Folds
from lepta.tuning.search.unit import Candidate, Held

Floats = NDArray[np.float64]

_BYTES, _BYTES_ROW = 1_500_000, 60
_LOOKED_AT = 4
"""Candidates whose folds are counted."""


@dataclass(frozen=True)
class Judge:
    """Measures raw scores of the rows of a search.

    Attributes:
        task: what is learned.
        y: targets of all rows.
        weights: of the rows, or None.
        metric: name of the metric to choose by; None for log loss, or the task's first metric.
    """

    task: Task
    y: NDArray[Any]
    weights: Floats | None
    metric: str | None = None

    def loss(self, raw: Floats, rows: NDArray[Any], temperature: float = 1.0) -> float:
        """Return how wrong raw scores (rows, width) are at ``rows``; less is better."""
        scores = self.task.finish(raw, temperature)
        return self._value(self._loss_name, scores, rows)

    def score(self, raw: Floats, rows: NDArray[Any], temperature: float = 1.0) -> float:
        """Return the metric that people read, in its own direction."""
        name = self.metric or self.task.metrics[0]
        scores = self.task.finish(raw, temperature)
        value = self.task.metric(name)(self.y[rows], scores, self._weights(rows))
        return float("nan") if value is None else float(value)

    def temperature(self, raw: Floats, rows: NDArray[Any]) -> float:
        """Return the divisor of logits that calibrates them; 1 where there is nothing to divide."""
        if not self.task.is_classification or self.task.raw_width != self.task.width:
            return 1.0
        return fit_temperature(raw, self.y[rows], weights=self._weights(rows))

    @property
    def _loss_name(self) -> str:
        return self.metric or ("log_loss" if self.task.is_classification else self.task.metrics[0])

    def _value(self, name: str, scores: NDArray[Any], rows: NDArray[Any]) -> float:
        metric = self.task.metric(name)
        value = metric(self.y[rows], scores, self._weights(rows))
        if value is None or not np.isfinite(value):
            return float("inf")
        return -float(value) if metric.maximise else float(value)

    def _weights(self, rows: NDArray[Any]) -> Floats | None:
        return None if self.weights is None else self.weights[rows]


@dataclass
class Entry:
    """A candidate and what its units gave.

    Attributes:
        number: in the order in which candidates were begun.
        candidate: learner and settings.
        models: fitted models by fold.
        seconds: wall time by fold.
        losses: loss of the rows held out, by fold.
        failure: why it cannot be used; empty while it can.
        size: roughly the bytes that the model of a fold adds to a graph; 0 where it is small.
        total, count: sums of the raw scores of each row, and how many there are.
    """

    number: int
    candidate: Candidate
    models: dict[int, Fitted] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    failure: str = ""
    size: int = 0
    total: Floats | None = None
    count: NDArray[np.int64] | None = None

    @property
    def level(self) -> int:
        """How many folds are done, counted from the first without a gap."""
        return next(n for n in range(len(self.models) + 1) if n not in self.models)

    @property
    def cost(self) -> float:
        """Seconds that a unit takes."""
        return float(np.mean(list(self.seconds.values()))) if self.seconds else 0.0

    def add(
        self, fold: int, fitted: Fitted, raw: NDArray[Any], held: NDArray[Any], rows: int
    ) -> None:
        """Take the result of a fold in; ``held`` are its held-out rows, of ``rows``."""
        if self.total is None or self.count is None:
            self.total = np.zeros((rows, *raw.shape[1:]))
            self.count = np.zeros(rows, np.int64)
        self.models[fold] = fitted
        self.total[held] += raw
        self.count[held] += 1

    def raw(self, rows: NDArray[Any]) -> Floats:
        """Return the mean raw scores of rows that were held out."""
        assert self.total is not None and self.count is not None  # noqa: S101, PT018
        shape = (-1, *[1] * (self.total.ndim - 1))
        mean: Floats = self.total[rows] / self.count[rows].reshape(shape)
        return mean


@dataclass
class Board:
    """All candidates of a search."""

    folds: Folds
    judge: Judge
    entries: list[Entry] = field(default_factory=list)

    @classmethod
    def of(cls, folds: Folds, task: Task, options: FitOptions) -> Board:
        """Return a board without candidates, for a fit with these options."""
        weights = row_weights(folds.rows, task, balance=False)
        metric = metric_to_choose_by(options, task)
        return cls(folds, Judge(task, folds.rows.targets(task), weights, metric))

    def begin(self, candidate: Candidate) -> Entry:
        """Add a candidate."""
        entry = Entry(len(self.entries), candidate)
        self.entries.append(entry)
        return entry

    def record(self, entry: Entry, fold: int, given: Held, fitted: Fitted, seconds: float) -> None:
        """Take in what a unit gave: its scores, and its model as all share it."""
        held = self.folds.pairs[fold][1]
        raw = given.raw.astype(np.float64)
        entry.add(fold, fitted, raw, held, len(self.folds.rows))
        entry.size = max(entry.size, given.size)
        entry.seconds[fold] = seconds
        temperature = self.judge.temperature(raw, held)
        entry.losses[fold] = self.judge.loss(raw, held, temperature)

    def usable(self, level: int) -> list[Entry]:
        """Return entries with the first ``level`` folds done, the best first."""
        found = [e for e in self.entries if not e.failure and e.level >= max(level, 1)]
        return sorted(found, key=lambda entry: self.loss(entry, level))

    def ranked(self) -> list[Entry]:
        """Return usable entries, the best first, whatever folds each has done.

        Folds differ in difficulty: each entry is compared with the one that has done the most,
        on the folds that both have done.
        """
        found = self.usable(1)
        if not found:
            return []
        most = max(found, key=lambda entry: entry.level)

        def excess(entry: Entry) -> float:
            level = min(entry.level, most.level)
            return self.loss(entry, level) - self.loss(most, level)

        return sorted(found, key=excess)

    def loss(self, entry: Entry, level: int) -> float:
        """Return the mean loss of an entry over its first ``level`` folds."""
        return float(np.mean([entry.losses[fold] for fold in range(max(level, 1))]))

    def rows(self, level: int) -> NDArray[np.int64]:
        """Return the rows that the first ``level`` folds hold out."""
        held = [self.folds.pairs[fold][1] for fold in range(min(level, self.folds.each))]
        return np.sort(np.concatenate(held))

    @property
    def roomy(self) -> float:
        """The bytes that a model may take: a small one answers fast; many rows deserve more."""
        return _BYTES + _BYTES_ROW * len(self.folds.rows)

    @property
    def levels(self) -> list[int]:
        """How many folds the best candidates have done, the most first."""
        found = {min(entry.level, self.folds.each) for entry in self.ranked()[:_LOOKED_AT]}
        return sorted(found, reverse=True)
