"""How far the truth lies from a forecast: quantiles around it, learned from errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepta.models.graph import Graph

Floats = NDArray[np.float64]
_FEW = 100
"""Errors below which the series share their quantiles."""


@dataclass(frozen=True, eq=False)
class Spread:
    """Quantiles of errors, as they are or in units of how much a window changes.

    Attributes:
        offsets: (series, horizon, quantiles), rising.
        least: added to a window's mean absolute change, (series, 1); None for errors as they are.
    """

    offsets: Floats
    least: Floats | None = None

    def unit(self, own: Floats) -> Floats:
        """Return the unit of errors of windows (rows, series, length), (rows, series, 1)."""
        if self.least is None:
            return np.ones((1, 1, 1))
        change = np.abs(np.diff(own, axis=2)).mean(axis=2, keepdims=True)
        return np.asarray(change + self.least)

    def around(self, middle: Floats, own: Floats) -> Floats:
        """Return quantiles (rows, series, horizon, quantiles) of forecasts without the last."""
        return np.asarray(middle[..., None] + self.offsets * self.unit(own)[..., None])

    def emit(self, graph: Graph, middle: str, own: str) -> str:
        """Add what :meth:`around` does; return the name of the quantiles, float64."""
        offsets = graph.const(self.offsets)
        if self.least is not None:
            later = graph.op("Slice", own, *(graph.const([v], "int64") for v in (1, 2**31, 2)))
            sooner = graph.op("Slice", own, *(graph.const([v], "int64") for v in (0, -1, 2)))
            size = graph.op("Abs", graph.op("Sub", later, sooner))
            mean = graph.op("ReduceMean", size, graph.const([2], "int64"), keepdims=1)
            unit = graph.op("Add", mean, graph.const(self.least))
            last = graph.const([3], "int64")
            offsets = graph.op("Mul", offsets, graph.op("Unsqueeze", unit, last))
        return graph.op("Add", graph.op("Unsqueeze", middle, graph.const([3], "int64")), offsets)


def fit_spread(own: Floats, errors: Floats, levels: tuple[float, ...]) -> Spread:
    """Return quantiles of errors, in the unit that suits them better by the pinball loss.

    Args:
        own: windows (rows, series, length) that no parameter was fitted on.
        errors: truth less forecast, (rows, series, horizon).
        levels: of the quantiles.
    """
    plain = Spread(_quantiles(errors, levels))
    if own.shape[2] < 3:
        return plain
    change = np.abs(np.diff(own, axis=2)).mean(axis=(0, 2))
    least = np.maximum(change, 1e-6)[:, None]
    scaled = Spread(np.zeros((1, 1, 1)), least)
    scaled = Spread(_quantiles(errors / scaled.unit(own), levels), least)
    found = [pinball(errors, spread.around(np.zeros_like(errors), own), levels)
             for spread in (plain, scaled)]  # fmt: skip
    return scaled if found[1] < found[0] else plain


def pinball(y: Floats, quantiles: Floats, levels: tuple[float, ...]) -> float:
    """Return the mean pinball loss of quantiles (..., quantiles) of ``y`` (...)."""
    off = y[..., None] - quantiles
    steps = np.array(levels)
    return float(np.maximum(steps * off, (steps - 1.0) * off).mean())


def _quantiles(errors: Floats, levels: tuple[float, ...]) -> Floats:
    """Return quantiles of errors (rows, series, horizon) as (series, horizon, levels).

    The outer ones are those of one error more, as conformal prediction takes them (Romano et al.
    2019), so that few errors promise no more than they can. The median is one number for all series
    and steps: many would fit the very rows that models are chosen by.
    """
    rows, series, horizon = errors.shape
    if rows < _FEW and series > 1:
        pooled = errors.transpose(1, 0, 2).reshape(1, -1, horizon).repeat(series, axis=0)
    else:
        pooled = errors.transpose(1, 0, 2)
    count = pooled.shape[1]
    found = []
    for level in levels:
        wanted = min(1.0, level * (count + 1) / count) if level > 0.5 else level
        wanted = max(0.0, 1.0 - (1.0 - level) * (count + 1) / count) if level < 0.5 else wanted
        value = np.quantile(pooled, wanted, axis=1)
        found.append(np.full_like(value, np.median(errors)) if level == 0.5 else value)
    return np.sort(np.stack(found, axis=2), axis=2)
