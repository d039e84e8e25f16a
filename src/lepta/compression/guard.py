"""The accuracy guard: a bound on what is lost, from rows that neither model has seen.

Two models are compared row by row, so that what makes a row hard for both cancels out. The bound
is the quantile of the drop under random weights of the rows, drawn from the flat Dirichlet
distribution (the Bayesian bootstrap, Rubin 1981). Where answers are right or wrong, there is one
row more, on which all is lost: Gaffke's bound of a bounded mean (Gaffke 2005; Learned-Miller and
Thomas 2019, arXiv:1905.06208), here Clopper and Pearson's exact one. So ``n`` rows without a
difference prove a drop below 3 / n, and no less. Of metrics that have ends and to which every row
adds a little, such as AUROC, a tenth is lost on that row; of those without, such as RMSE, the
rows themselves must tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import CompressError, DataError
from lepta.evaluation.measuring import read_sample
from lepta.tasks import Task
from lepta.tasks.metrics import Metric
from lepta.tasks.metrics.base import Floats

DRAWS = 2000
_CELLS = 4_000_000
_CERTAIN = 1e-12
_LEAST_ROWS = 30
"""Independent rows without which no mean is believed."""
_SLIGHT = 0.1
"""What the row more loses of a metric of scores (AUROC), to which every row adds a little."""
OF_ANSWERS = frozenset(
    {"accuracy", "precision", "recall", "specificity", "f1"}
    | {"subset_accuracy", "macro_f1", "micro_f1", "quadratic_kappa", "median_accuracy"}
)
"""Metrics that change only where a row's answer does; of all others every row tells something."""


@dataclass(frozen=True)
class Verdict:
    """What the guard found.

    Attributes:
        before, after: the metric of the model given and of the candidate.
        drop: what is lost: positive is worse. In units of the metric where it has a highest and a
            lowest value (0.01 of accuracy is one point), else as a share of ``before``.
        bound: what is lost at the most, at the level of confidence.
        accepted: whether the bound is within what may be lost.
        rows: how many were compared.
    """

    before: float
    after: float
    drop: float
    bound: float
    accepted: bool
    rows: int


class Guard:
    """Judges candidates by the same rows.

    Args:
        task: what is predicted.
        metric: name of the metric that must not drop.
        y: truth of the rows.
        scores: of the model given.
        groups: what is independent of each other (patients); rows where None.
        weights: of the rows.
        max_drop: how much may be lost.
        level: confidence of the bound, one-sided.
        seed: of the weights drawn.

    Raises:
        CompressError: the metric is not defined on these rows.
    """

    def __init__(  # noqa: PLR0913
        self,
        task: Task,
        metric: str,
        y: Any,
        scores: Any,
        *,
        groups: Any = None,
        weights: Any = None,
        max_drop: float = 0.01,
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.max_drop, self.level, self.seed = max_drop, level, seed
        self._task, self._given = task, (y, groups, weights)
        self._metric: Metric = task.metric(metric)
        sample = read_sample(task, y, scores, groups, weights)
        rows = len(sample.y)
        self._base = np.ones(rows) if sample.weights is None else sample.weights
        self._unit = np.arange(rows) if sample.groups is None else sample.groups
        self._unit = np.unique(self._unit, return_inverse=True)[1]
        self.units = int(self._unit.max()) + 1
        self._known: dict[float, Floats] = {}
        self._before = self._metric.prepared(sample.y, sample.scores)
        self._threshold = sample.threshold
        value = self._value(self._before)
        if value is None:
            raise CompressError(
                f"The metric {metric!r} is not defined on the {rows} rows to judge by.",
                fix="Give more rows, or name another metric.",
            )
        self.value: float = value
        ends = (self._metric.low, self._metric.high)
        self._scale = 1.0 if all(map(math.isfinite, ends)) else max(abs(value), _CERTAIN)
        if not all(map(math.isfinite, ends)):
            self._worst = 0.0
        else:
            self._worst = (ends[1] - ends[0]) * (1.0 if metric in OF_ANSWERS else _SLIGHT)
        self._share = _share(self._metric, task, sample.y)

    @property
    def least_rows(self) -> int:
        """Independent rows that it takes to prove anything, even where no row differs."""
        if self._worst == 0.0:
            return _LEAST_ROWS
        tolerated = min(self.max_drop / self._worst, 0.999)
        return math.ceil(math.log(1 - self.level) / math.log1p(-tolerated) / self._share)

    def verdict(self, scores: Any, *, rows: int | None = None) -> Verdict:
        """Judge a candidate by its scores of the rows.

        Args:
            scores: in the order of the truth.
            rows: foretell what the bound will be on so many rows like these.
        """
        y, groups, weights = self._given
        try:
            sample = read_sample(self._task, y, scores, groups, weights)
            after = self._metric.prepared(sample.y, sample.scores)
            value = self._value(after)
        except DataError:  # scores that are no numbers, or of another shape
            value = None
        if value is None:
            return Verdict(self.value, math.nan, math.inf, math.inf, False, self.units)
        dense = 1.0 if rows is None else rows / self.units
        drops = np.concatenate(
            [
                self._sign * (one - self._metric.resampled(after, w, threshold=self._threshold))
                for one, w in zip(self._drawn_before(dense), self._weights(dense), strict=True)
            ]
        )
        drop = self._sign * (self.value - value) / self._scale
        bound = self._bound(drops / self._scale, dense)
        bound = max(bound, drop)
        return Verdict(self.value, value, drop, bound, bound <= self.max_drop, self.units)

    @property
    def _sign(self) -> float:
        return 1.0 if self._metric.maximise else -1.0

    def _value(self, prepared: tuple[Any, Any]) -> float | None:
        one = self._base[None, :]
        value = float(self._metric.resampled(prepared, one, threshold=self._threshold)[0])
        return value if np.isfinite(value) else None

    def _bound(self, drops: Floats, dense: float) -> float:
        """Return the quantile of drops to which a row more is added, with a random weight."""
        defined = drops[np.isfinite(drops)]
        if len(defined) < len(drops) / 2:
            return math.inf
        if self._worst:
            rng = np.random.default_rng([self.seed, 1])
            worst = rng.standard_exponential(len(defined))
            mass = rng.gamma(max(1.0, self.units * self._share) * dense, size=len(defined))
            defined = (mass * defined + worst * self._worst) / (mass + worst)
        return float(np.quantile(defined, self.level))

    def _weights(self, dense: float) -> Iterator[Floats]:
        """Yield weights of the rows, (some draws, rows); each unit counts as ``dense`` of them."""
        rng = np.random.default_rng([self.seed, 0])
        size = max(1, _CELLS // max(len(self._unit), 1))
        for begin in range(0, DRAWS, size):
            shape = (min(size, DRAWS - begin), self.units)
            drawn = rng.gamma(dense, size=shape)
            yield drawn[:, self._unit] * self._base

    def _drawn_before(self, dense: float) -> Iterator[Floats]:
        """Yield the metric of the model given under the same weights; computed once."""
        if dense not in self._known:
            found = [
                self._metric.resampled(self._before, w, threshold=self._threshold)
                for w in self._weights(dense)
            ]
            self._known[dense] = np.concatenate(found)
        whole, size = self._known[dense], max(1, _CELLS // max(len(self._unit), 1))
        for begin in range(0, DRAWS, size):
            yield whole[begin : begin + size]


def _share(metric: Metric, task: Task, y: NDArray[Any]) -> float:
    """Return the share of the rows that a metric is a mean of, at the least.

    Losing a row costs one in all rows of accuracy, but one in the positive rows of a recall, and
    one in those of the rarest class, divided by the classes, of a mean over classes.
    """
    if not task.is_classification or metric.name == "accuracy":
        return 1.0
    counts = np.bincount(np.asarray(y).astype(np.int64).ravel())
    counts = counts[counts > 0]
    share = counts.min() / counts.sum() * (1 if len(counts) == 2 else len(counts))
    return float(min(1.0, share))
