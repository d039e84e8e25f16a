"""Bootstrap intervals: rows, or whole groups, are drawn again with replacement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from lepta.evaluation.intervals.base import Interval
from lepta.evaluation.intervals.wilson import wilson
from lepta.tasks.metrics import Metric
from lepta.tasks.metrics.base import Array, Floats
from lepta.tasks.metrics.probabilities import BINS, bin_of, confidence

RESAMPLES = 1000
"""Resamples drawn; fewer (at least 200) where rows x resamples would pass 200 million."""
_CELLS = 2_000_000
_BLOCKS = 100
_OUTCOMES = 200


def bootstrap(  # noqa: PLR0913
    metrics: Sequence[Metric],
    y: Array,
    scores: Array,
    *,
    groups: NDArray[np.int64] | None = None,
    weights: Floats | None = None,
    threshold: float = 0.5,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Interval | None]:
    """Return the interval of each metric, all from the same resamples.

    Bias-corrected and accelerated (BCa, Efron 1987; the acceleration by a jackknife over at most
    100 blocks). The expected calibration error, which resampling inflates, gets the basic
    interval, 2 x estimate - quantiles, and reaches down to 0 where a perfectly calibrated model
    would show as much by chance. With ``groups`` whole groups are drawn.

    Returns:
        None for a metric that is not defined on most resamples, or with a single group.
    """
    rows = len(y)
    unit = np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(unit.max()) + 1 if rows else 0
    if units < 2:
        return dict.fromkeys(metric.name for metric in metrics)
    base = np.ones(rows) if weights is None else weights
    count = int(min(resamples, max(200, 2e8 // rows)))
    name = "bootstrap" if groups is None else "clustered bootstrap"

    shared = {metric.prepare: metric.prepared(y, scores) for metric in metrics}
    ready = {metric.name: shared[metric.prepare] for metric in metrics}

    def values(weightings: Iterator[Floats]) -> dict[str, Floats]:
        found: dict[str, list[Floats]] = {metric.name: [] for metric in metrics}
        for chunk in weightings:
            for metric in metrics:
                found[metric.name].append(
                    metric.resampled(ready[metric.name], chunk * base, threshold=threshold)
                )
        return {key: np.concatenate(parts) for key, parts in found.items()}

    drawn = values(resampled(unit, units, count, seed))
    without = values(_left_out(unit, units, seed))
    found = {
        metric.name: _interval(
            metric,
            _finite(metric.resampled(ready[metric.name], base[None], threshold=threshold)),
            drawn[metric.name],
            without[metric.name],
            level,
            units,
            name,
        )
        for metric in metrics
    }
    error = found.get("ece")
    if error is not None and _calibrated(y, scores, base, level, seed):
        found["ece"] = replace(error, low=0.0)
    return found


def _finite(value: Floats) -> float | None:
    return float(value[0]) if np.isfinite(value[0]) else None


def _calibrated(y: Array, scores: Array, weights: Floats, level: float, seed: int) -> bool:
    """Whether the calibration error is what outcomes drawn from the probabilities would give."""
    claimed, came_true = confidence(y, np.asarray(scores, np.float64))
    member = (bin_of(claimed)[:, None] == np.arange(BINS)) * weights[:, None]
    rng = np.random.default_rng([seed, 1])
    drawn = [
        np.abs((claimed - (rng.random(len(y)) < claimed)) @ member).sum() for _ in range(_OUTCOMES)
    ]
    return bool(np.abs((claimed - came_true) @ member).sum() <= np.quantile(drawn, level))


def resampled(unit: Array, units: int, count: int, seed: int) -> Iterator[Floats]:
    """Yield how often each row is drawn, (some resamples, rows), until ``count`` have come."""
    rng = np.random.default_rng(seed)
    size = max(1, _CELLS // max(len(unit), 1))
    for begin in range(0, count, size):
        k = min(size, count - begin)
        draws = rng.integers(0, units, (k, units)) + np.arange(k)[:, None] * units
        counts = np.bincount(draws.ravel(), minlength=k * units).reshape(k, units)
        yield counts.astype(np.float64)[:, unit]


def _left_out(unit: Array, units: int, seed: int) -> Iterator[Floats]:
    blocks = min(units, _BLOCKS)
    block = np.random.default_rng(seed).permutation(units) % blocks
    size = max(1, _CELLS // max(len(unit), 1))
    for begin in range(0, blocks, size):
        wanted = np.arange(begin, min(begin + size, blocks))
        yield (block[unit] != wanted[:, None]).astype(np.float64)


def _interval(
    metric: Metric,
    value: float | None,
    drawn: Floats,
    without: Floats,
    level: float,
    units: int,
    name: str,
) -> Interval | None:
    defined = drawn[np.isfinite(drawn)]
    if value is None or len(defined) < len(drawn) / 2:
        return None
    if metric.name == "ece":
        tails = np.quantile(defined, [0.5 + level / 2, 0.5 - level / 2])
        low, high = 2 * value - tails
    else:
        low, high = np.quantile(defined, _levels(value, defined, without, level))
    low, high = max(metric.low, min(low, value)), min(metric.high, max(high, value))
    if low == high and metric.maximise and value in (0.0, 1.0):
        return wilson(value * units, units, level)
    return Interval(float(low), float(high), name)


def _levels(value: float, drawn: Floats, without: Floats, level: float) -> list[float]:
    """Return the two quantile levels of BCa."""
    normal = NormalDist()
    below = (np.count_nonzero(drawn < value) + 0.5 * np.count_nonzero(drawn == value)) / len(drawn)
    shift = normal.inv_cdf(min(max(below, 1 / len(drawn)), 1 - 1 / len(drawn)))
    kept = without[np.isfinite(without)]
    gap = kept.mean() - kept if len(kept) else np.zeros(1)
    spread = float(np.sum(gap**2)) ** 1.5
    acceleration = float(np.sum(gap**3)) / (6 * spread) if spread > 0 else 0.0
    levels = []
    for tail in (0.5 - level / 2, 0.5 + level / 2):
        z = shift + normal.inv_cdf(tail)
        bent = 1 - acceleration * z
        levels.append(normal.cdf(shift + z / bent) if bent > 0 else tail)
    return levels
