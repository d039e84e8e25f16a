"""Wilson's score interval of a proportion (Wilson 1927)."""

from __future__ import annotations

import math

import numpy as np

from lepta.evaluation.intervals.base import Interval, quantile_of
from lepta.tasks.metrics.base import Array


def wilson(hits: float, total: float, level: float = 0.95) -> Interval | None:
    """Return the interval of ``hits`` successes in ``total`` trials, None without a trial."""
    if total <= 0:
        return None
    z = quantile_of(level)
    share = hits / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + (z / total) ** 2 / 4)
    return Interval(
        0.0 if hits == 0 else max(0.0, middle - half),
        1.0 if hits == total else min(1.0, middle + half),
        "Wilson",
    )


def decision_interval(name: str, table: Array, level: float = 0.95) -> Interval | None:
    """Return the interval of a metric that is a proportion, None where it is not one.

    Args:
        name: "accuracy" (any number of classes); "precision", "recall", "specificity" or "f1"
            (two classes). F1 is 2J / (1 + J) of the proportion J = TP / (TP + FP + FN), so the
            bounds of J carry over.
        table: counts (true class, answered class).
        level: confidence level.
    """
    if name == "accuracy":
        return wilson(float(np.trace(table)), float(table.sum()), level)
    if len(table) != 2:
        return None
    (tn, fp), (fn, tp) = table.astype(float)
    if name == "f1":
        found = wilson(tp, tp + fp + fn, level)
        if found is None:
            return None
        return Interval(
            2 * found.low / (1 + found.low), 2 * found.high / (1 + found.high), "Wilson"
        )
    trials = {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "specificity": (tn, tn + fp),
    }
    return wilson(*trials[name], level) if name in trials else None
