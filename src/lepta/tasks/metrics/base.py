"""The contract of a metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Rule = Callable[[Array, Floats, Floats, float], Floats]
"""(y, scores (rows, width), weights (k, rows), threshold) -> one value for each weighting (k,).

NaN stands for undefined. Taking many weightings at once is what makes a bootstrap fast: a
resample of the rows is a vector of counts.
"""
Prepare = Callable[[Array, Array], tuple[Any, Any]]
"""(y, scores) -> what the rule is given in their place, once for all weightings."""
Tell = Callable[[Any], Rule]
"""task -> the rule, where truth and scores alone do not say enough, such as which quantiles."""


@dataclass(frozen=True)
class Metric:
    """A figure of merit.

    Attributes:
        name: registered name.
        label: what people read.
        maximise: whether more is better.
        low: smallest value possible.
        high: largest value possible.
        rule: the computation.
        explanation: what it tells, in one plain sentence.
        prepare: work to be done once for all weightings, such as the overlap of each mask.
        tell: gives the rule to a task that it must know; ``rule`` then stands for any other.
    """

    name: str
    label: str
    maximise: bool
    low: float
    high: float
    rule: Rule
    explanation: str = ""
    prepare: Prepare | None = None
    tell: Tell | None = None

    def told(self, task: Any) -> Metric:
        """Return the metric as it is for ``task``."""
        return self if self.tell is None else replace(self, rule=self.tell(task))

    def __call__(
        self, y: Array, scores: Array, weights: Array | None = None, *, threshold: float = 0.5
    ) -> float | None:
        """Return the metric, or None where it is not defined.

        Args:
            y: class codes, or numbers; shape (rows,).
            scores: probabilities (rows, classes), or values (rows, 1). A vector is taken as the
                probability of the second class, or as the values.
            weights: weight of each row, (rows,).
            threshold: two classes only: probability from which the second one is answered.
        """
        if weights is None:
            weights = np.ones(len(y))
        matrix = np.asarray(weights, np.float64)[None, :]
        value = float(self.resampled(self.prepared(y, scores), matrix, threshold=threshold)[0])
        return value if np.isfinite(value) else None

    def prepared(self, y: Array, scores: Array) -> tuple[Any, Any]:
        """Return what :meth:`resampled` takes, from truth and scores."""
        if self.prepare is not None:
            return self.prepare(y, scores)
        matrix = np.asarray(scores, np.float64)
        return np.asarray(y), matrix if matrix.ndim == 2 else matrix[:, None]

    def resampled(
        self, prepared: tuple[Any, Any], weights: Floats, *, threshold: float = 0.5
    ) -> Floats:
        """Return the metric for each row of ``weights`` (k, rows); NaN where undefined."""
        if weights.shape[1] == 0:
            return np.full(len(weights), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.rule(*prepared, weights, threshold)


def ratio(above: Floats, below: Floats) -> Floats:
    """Divide; NaN where the divisor is 0."""
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)


def weighted_mean(values: Array, weights: Floats) -> Floats:
    """Return means of ``values`` (rows,) by ``weights`` (k, rows); NaN where nothing weighs."""
    return ratio(weights @ np.asarray(values, np.float64), weights.sum(axis=1))


def both_classes(scores: Floats) -> Floats:
    """Return probabilities (rows, classes); one column is the probability of the second class."""
    return np.hstack([1.0 - scores, scores]) if scores.shape[1] == 1 else scores
