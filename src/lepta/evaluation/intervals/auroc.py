"""The interval of the area under the ROC curve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepta.evaluation.intervals.base import Interval, quantile_of
from lepta.evaluation.intervals.wilson import wilson
from lepta.tasks.metrics.base import Array, Floats, both_classes


@dataclass(frozen=True, eq=False)
class _Area:
    """One area and what each row adds to its error: positive rows, negative rows."""

    value: float
    pull: Floats


def midranks(values: Floats) -> Floats:
    """Return ranks from 1, ties sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]


def _area(positive: NDArray[np.bool_], score: Floats) -> _Area:
    """Structural components by midranks (Sun & Xu 2014), centred and scaled."""
    m, n = int(positive.sum()), int((~positive).sum())
    overall = midranks(score)
    v10 = (overall[positive] - midranks(score[positive])) / n
    v01 = 1.0 - (overall[~positive] - midranks(score[~positive])) / m
    value = float(v10.mean())
    pull = np.empty(len(score))
    pull[positive] = (v10 - value) / m
    pull[~positive] = (v01 - value) / n
    return _Area(value, pull)


def auroc_interval(
    y: Array, scores: Array, level: float = 0.95, groups: NDArray[np.int64] | None = None
) -> Interval | None:
    """Return the interval of the AUROC, on the logit scale so that it stays within [0, 1].

    Two classes: DeLong et al. 1988 by the algorithm of Sun & Xu 2014; with ``groups`` (rows of one
    patient are not independent) Obuchowski 1997. More classes: the same components, averaged over
    the one-versus-rest areas.

    Args:
        y: class codes (rows,).
        scores: probabilities (rows, classes).
        level: confidence level.
        groups: codes of the groups (rows,), if any.

    Returns:
        None where it is not defined: fewer than two rows, or groups, of a class.
    """
    probabilities = both_classes(np.asarray(scores, np.float64))
    codes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    positives = [(y == k, probabilities[:, k]) for k in codes]
    areas = [_area(p, s) for p, s in positives if 0 < p.sum() < len(y)]
    if not areas:
        return None
    value = float(np.mean([area.value for area in areas]))
    pull = np.mean([area.pull for area in areas], axis=0)
    units = np.arange(len(y)) if groups is None else groups
    if len(codes) == 1:
        variance = _binary_variance(y == 1, pull, units)
        smaller = _smaller(y, units)
    else:
        variance = _pooled_variance(pull, units)
        smaller = len(np.unique(units))
    if variance is None:
        return None
    name = "DeLong" if groups is None else "Obuchowski"
    name = name if len(codes) == 1 else f"{name}, macro"
    return _on_logit(value, variance, level, name) or wilson(value * smaller, smaller, level)


def _binary_variance(
    positive: NDArray[np.bool_], pull: Floats, units: NDArray[np.int64]
) -> float | None:
    _, code = np.unique(units, return_inverse=True)
    up = np.bincount(code, np.where(positive, pull, 0.0))
    down = np.bincount(code, np.where(positive, 0.0, pull))
    of_up, of_down = len(np.unique(code[positive])), len(np.unique(code[~positive]))
    if of_up < 2 or of_down < 2:
        return None
    variance = of_up / (of_up - 1) * (up @ up) + of_down / (of_down - 1) * (down @ down)
    return float(max(0.0, variance + 2 * len(up) / (len(up) - 1) * (up @ down)))


def _pooled_variance(pull: Floats, units: NDArray[np.int64]) -> float | None:
    _, code = np.unique(units, return_inverse=True)
    sums = np.bincount(code, pull)
    return float(len(sums) / (len(sums) - 1) * (sums @ sums)) if len(sums) > 1 else None


def _smaller(y: Array, units: NDArray[np.int64]) -> int:
    return min(len(np.unique(units[y == 1])), len(np.unique(units[y != 1])))


def _on_logit(value: float, variance: float, level: float, method: str) -> Interval | None:
    """None at 0 or 1 and without variance: all rows in order say little about the next ones."""
    if variance <= 1e-18 or not 1e-12 < value < 1 - 1e-12:
        return None
    middle = math.log(value / (1 - value))
    half = quantile_of(level) * math.sqrt(variance) / (value * (1 - value))
    return Interval(_expit(middle - half), _expit(middle + half), method)


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
