"""Metrics of classes in an order: an error of two steps is worse than one of one."""

from __future__ import annotations

import numpy as np

from lepta.tasks.metrics.base import Array, Floats, Metric, ratio, weighted_mean
from lepta.tasks.ordinal import median_class


def _kappa(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    said, true = median_class(scores).astype(np.float64), y.astype(np.float64)
    observed = weighted_mean((said - true) ** 2, weights)
    product = weighted_mean(said, weights) * weighted_mean(true, weights)
    chance = weighted_mean(said**2, weights) + weighted_mean(true**2, weights) - 2 * product
    return 1.0 - ratio(observed, chance)


def _mae(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    return weighted_mean(np.abs(median_class(scores) - y), weights)


def _accuracy(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    return weighted_mean(median_class(scores) == y, weights)


quadratic_kappa = Metric(
    "quadratic_kappa",
    "Quadratic kappa",
    True,
    -1.0,
    1.0,
    _kappa,
    "Agreement beyond chance, where an error of two steps costs four times as much as one "
    "(Cohen 1968); 0 is chance.",
)
class_mae = Metric(
    "class_mae",
    "MAE in classes",
    False,
    0.0,
    float("inf"),
    _mae,
    "Mean number of steps between the answer and the truth.",
)
median_accuracy = Metric(
    "median_accuracy", "Accuracy", True, 0.0, 1.0, _accuracy, "Share of the rows answered right."
)
