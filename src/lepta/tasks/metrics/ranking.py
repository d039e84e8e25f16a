"""Metrics of order: whether positive rows stand above negative ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lepta.tasks.metrics.base import Array, Floats, Metric, both_classes, ratio

Part = Callable[[NDArray[np.bool_], Floats, Floats], Floats]
"""(positive (rows,), score (rows,), weights (k, rows)) -> (k,)."""


def _tied(positive: NDArray[np.bool_], score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return positive and negative weight at each distinct score, rising; (k, distinct) each."""
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    above = weights[:, order]
    mine = above * positive[order]
    up = np.add.reduceat(mine, starts, axis=1)
    return up, np.add.reduceat(above, starts, axis=1) - up


def area(positive: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Return the area under the ROC curve for each weighting."""
    up, down = _tied(positive, score, weights)
    below = np.cumsum(down, axis=1) - 0.5 * down
    return ratio((up * below).sum(axis=1), up.sum(axis=1) * down.sum(axis=1))


def precision_mean(positive: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Return the average precision for each weighting."""
    up, down = _tied(positive, score, weights)
    hits = np.cumsum(up[:, ::-1], axis=1)
    said = np.cumsum((up + down)[:, ::-1], axis=1)
    gain = up[:, ::-1] * np.where(said > 0, hits / np.where(said > 0, said, 1.0), 0.0)
    defined = down.sum(axis=1) > 0
    return ratio(gain.sum(axis=1), np.where(defined, up.sum(axis=1), 0.0))


def _over_classes(part: Part, y: Array, scores: Floats, weights: Floats) -> Floats:
    probabilities = both_classes(scores)
    if probabilities.shape[1] == 2:
        return part(y == 1, probabilities[:, 1], weights)
    each = np.stack(
        [part(y == k, probabilities[:, k], weights) for k in range(probabilities.shape[1])], axis=1
    )
    defined = ~np.isnan(each)
    return ratio(np.where(defined, each, 0.0).sum(axis=1), defined.sum(axis=1))


def _auroc(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    return _over_classes(area, y, scores, weights)


def _average_precision(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    return _over_classes(precision_mean, y, scores, weights)


auroc = Metric(
    "auroc",
    "AUROC",
    True,
    0.0,
    1.0,
    _auroc,
    "Chance that a positive row scores above a negative one; 0.5 is guessing.",
)
average_precision = Metric(
    "average_precision",
    "Average precision",
    True,
    0.0,
    1.0,
    _average_precision,
    "Precision averaged over all recalls; guessing gives the share of positives.",
)
