"""Metrics of quantiles: sharp, and as often right as they say."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepta.tasks.metrics.base import Array, Floats, Metric, Rule, weighted_mean

_LEVELS = (0.1, 0.5, 0.9)
_INFINITE = float("inf")


def _pinball(levels: tuple[float, ...]) -> Rule:
    at = np.array(levels)

    def rule(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
        off = y[:, None] - scores
        return weighted_mean(np.maximum(at * off, (at - 1) * off).mean(axis=1), weights)

    return rule


def _median(position: int) -> Rule:
    def rule(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
        return weighted_mean(np.abs(scores[:, position] - y), weights)

    return rule


def _gap(levels: tuple[float, ...]) -> Rule:
    def rule(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
        below = (y[:, None] <= scores).astype(np.float64)
        shares = weights @ below / weights.sum(axis=1)[:, None]
        return np.asarray(np.abs(shares - np.array(levels)).mean(axis=1))

    return rule


def _coverage(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    inside = (y >= scores[:, 0]) & (y <= scores[:, -1])
    return weighted_mean(inside.astype(np.float64), weights)


def _width(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    return weighted_mean(scores[:, -1] - scores[:, 0], weights)


def _levels(task: Any) -> tuple[float, ...]:
    return tuple(task.quantiles)


pinball = Metric(
    "pinball",
    "Pinball loss",
    False,
    0.0,
    _INFINITE,
    _pinball(_LEVELS),
    "Mean loss of the quantiles, in the target's unit: small when they are near and honest.",
    tell=lambda task: _pinball(_levels(task)),
)
median_mae = Metric(
    "median_mae",
    "MAE of the median",
    False,
    0.0,
    _INFINITE,
    _median(1),
    "Mean absolute error of the middle quantile, in the target's unit.",
    tell=lambda task: _median(task.middle),
)
interval_coverage = Metric(
    "interval_coverage",
    "Coverage",
    True,
    0.0,
    1.0,
    _coverage,
    "Share of the truths between the first and the last quantile; it should be what their levels "
    "promise.",
)
interval_width = Metric(
    "interval_width",
    "Interval width",
    False,
    0.0,
    _INFINITE,
    _width,
    "Mean distance from the first to the last quantile, in the target's unit.",
)
quantile_gap = Metric(
    "quantile_gap",
    "Quantile error",
    False,
    0.0,
    1.0,
    _gap(_LEVELS),
    "Mean gap between the level of a quantile and the share of truths below it.",
    tell=lambda task: _gap(_levels(task)),
)
