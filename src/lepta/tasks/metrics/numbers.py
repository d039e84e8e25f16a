"""Metrics of numbers."""

from __future__ import annotations

import numpy as np

from lepta.tasks.metrics.base import Array, Floats, Metric, ratio


def _rmse(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    return np.sqrt(ratio(weights @ (scores[:, 0] - y) ** 2, weights.sum(axis=1)))


def _mae(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    return ratio(weights @ np.abs(scores[:, 0] - y), weights.sum(axis=1))


def _r2(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    centred = y - np.mean(y)
    total = weights.sum(axis=1)
    spread = weights @ centred**2 - ratio((weights @ centred) ** 2, total)
    noise = (1e-14 * float(np.max(np.abs(y)))) ** 2 * total
    return 1.0 - ratio(weights @ (scores[:, 0] - y) ** 2, np.where(spread > noise, spread, 0.0))


rmse = Metric(
    "rmse",
    "RMSE",
    False,
    0.0,
    float("inf"),
    _rmse,
    "Root mean squared error, in the target's unit.",
)
mae = Metric(
    "mae", "MAE", False, 0.0, float("inf"), _mae, "Mean absolute error, in the target's unit."
)
r2 = Metric(
    "r2",
    "R²",
    True,
    float("-inf"),
    1.0,
    _r2,
    "Share of the target's variance explained; 0 is always answering the mean.",
)
