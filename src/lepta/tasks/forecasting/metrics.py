"""Metrics of forecasts: errors of the median, and whether the quantiles mean what they say.

Scores are (rows, horizon, fields, quantiles). Which levels the quantiles have is not among them;
they are taken as symmetric about the median, as :class:`Forecasting` proposes: the outermost two
hold 80 % by default.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lepta.tasks.metrics.base import Array, Floats, Metric, weighted_mean


def _median(scores: Array) -> Floats:
    values: Floats = np.asarray(scores, np.float64)[..., scores.shape[-1] // 2]
    return values


def _absolute(y: Array, scores: Array) -> tuple[Any, Any]:
    return y, np.abs(_median(scores) - y).mean(axis=(1, 2))


def _squared(y: Array, scores: Array) -> tuple[Any, Any]:
    return y, ((_median(scores) - y) ** 2).mean(axis=(1, 2))


def _inside(y: Array, scores: Array) -> tuple[Any, Any]:
    inside = (scores[..., 0] <= y) & (y <= scores[..., -1])
    return y, inside.mean(axis=(1, 2))


def _mean(y: Array, rows: Floats, weights: Floats, threshold: float) -> Floats:
    return weighted_mean(rows, weights)


def _root_mean(y: Array, rows: Floats, weights: Floats, threshold: float) -> Floats:
    return np.sqrt(_mean(y, rows, weights, threshold))


mae = Metric(
    "forecast_mae",
    "MAE",
    False,
    0.0,
    float("inf"),
    _mean,
    "Mean absolute error of the median, over all steps ahead and all series, in the target's unit.",
    prepare=_absolute,
)
rmse = Metric(
    "forecast_rmse",
    "RMSE",
    False,
    0.0,
    float("inf"),
    _root_mean,
    "Root mean squared error of the median, over all steps ahead and all series.",
    prepare=_squared,
)
coverage = Metric(
    "forecast_coverage",
    "Coverage",
    True,
    0.0,
    1.0,
    _mean,
    "Share of the truth between the lowest and the highest quantile; it should be what they "
    "promise (0.8 for the quantiles 0.1 and 0.9).",
    prepare=_inside,
)
