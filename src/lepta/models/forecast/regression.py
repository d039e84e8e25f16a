"""Direct autoregression by ridge, with what is known beside the past."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lepta.data.windows import PAST
from lepta.models.forecast.own import Own, context_of, emit_context
from lepta.models.front import Front
from lepta.models.graph import Graph

Floats = NDArray[np.float64]
Anchor = Literal["none", "last", "mean"]
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Ridge penalties tried, in units of the mean square of a column."""
_WORK = 5e9
"""Multiplications that the normal equations of one model may take; rows are left out beyond."""


@dataclass(frozen=True, eq=False)
class Affine:
    """Forecasts that are linear in the window and in the context.

    Attributes:
        window: (length, horizon), or (series, length, horizon) where each series has its own.
        bias: (1 or series, horizon).
        context: (columns, series, horizon), or None.
    """

    window: Floats
    bias: Floats
    context: Floats | None = None

    def __call__(self, own: Floats, beside: Floats) -> Floats:
        """Return forecasts (rows, series, horizon).

        Args:
            own: windows (rows, series, length).
            beside: context (rows, columns).
        """
        if self.window.ndim == 2:
            found = own @ self.window
        else:
            found = (own.transpose(1, 0, 2) @ self.window).transpose(1, 0, 2)
        if self.context is not None:
            columns = len(self.context)
            told = beside @ self.context.reshape(columns, -1)
            found = found + told.reshape(len(beside), *self.context.shape[1:])
        return np.asarray(found + self.bias)

    @property
    def length(self) -> int:
        """Steps of a window."""
        return int(self.window.shape[-2])

    def rounded(self) -> Affine:
        """Return the same with weights that float32, as which the graph keeps them, can show."""
        window, bias, context = (
            None if part is None else part.astype(np.float32).astype(np.float64)
            for part in (self.window, self.bias, self.context)
        )
        assert window is not None  # noqa: S101
        assert bias is not None  # noqa: S101
        return Affine(window, bias, context)

    def emit(self, graph: Graph, own: str, beside: str) -> str:
        """Add the same to a graph; all is float64. ``beside`` is not read without ``context``."""
        window = _double(graph, self.window)
        if self.window.ndim == 2:
            found = graph.op("MatMul", own, window)
        else:
            place = graph.const([2], "int64")
            apart = graph.op("MatMul", graph.op("Unsqueeze", own, place), window)
            found = graph.op("Squeeze", apart, place)
        if self.context is not None:
            flat = self.context.reshape(len(self.context), -1)
            told = graph.op("MatMul", beside, _double(graph, flat))
            shape = graph.const([-1, *self.context.shape[1:]], "int64")
            found = graph.op("Add", found, graph.op("Reshape", told, shape))
        return graph.op("Add", found, _double(graph, self.bias))


def forecasts_of(
    front: Front, own: Own, affine: Affine, arrays: Mapping[str, NDArray[Any]]
) -> tuple[Floats, Floats]:
    """Return windows (rows, series, length) of prepared arrays, and their forecasts.

    Forecasts are (rows, series, horizon), in the unit of the windows.
    """
    windows = own.run(arrays[PAST])
    told = affine.context is not None
    beside = context_of(front, arrays, own.places) if told else np.zeros((0, 0))
    return windows, affine(windows, beside)


def emit_forecasts(
    graph: Graph, front: Front, own: Own, affine: Affine, values: Mapping[str, str]
) -> tuple[str, str]:
    """Add what :func:`forecasts_of` does; return the names of both, float64."""
    windows = own.emit(graph, values[PAST], affine.length)
    told = affine.context is not None
    beside = emit_context(graph, front, values, own.places) if told else ""
    return windows, affine.emit(graph, windows, beside)


def _double(graph: Graph, weights: Floats) -> str:
    return graph.op("Cast", graph.const(weights, "float32"), to=11)


def mixture(parts: list[Affine], weights: list[float]) -> Affine:
    """Return the weighted sum of forecasts as one."""
    window: Floats | float = 0.0
    bias: Floats | float = 0.0
    context: Floats | None = None
    for part, weight in zip(parts, weights, strict=True):
        window, bias = window + weight * part.window, bias + weight * part.bias
        if part.context is not None:
            told = weight * part.context
            context = told if context is None else context + told
    return Affine(np.asarray(window), np.asarray(bias), context)


def anchored(length: int, horizon: int, anchor: Anchor) -> Floats:
    """Return the forecast (length, horizon) that is the anchor itself: 0, the last, the mean."""
    matrix = np.zeros((length, horizon))
    if anchor == "last":
        matrix[-1] = 1.0
    elif anchor == "mean":
        matrix[:] = 1.0 / length
    return matrix


@dataclass(frozen=True, eq=False)
class Normal:
    """Normal equations of direct autoregressions, before the penalty is chosen.

    A window is taken less its anchor (its last value: as NLinear of Zeng et al. 2023 does), and so
    is what is forecast.

    Attributes:
        gram: (models, columns, columns) of centred columns; ``cross`` with centred targets
            (models, columns, horizon).
        means: of columns (models, columns) and of targets (models, horizon).
        series: series forecast.
        length: steps of a window.
        anchor: what is taken off.
    """

    gram: Floats
    cross: Floats
    means: tuple[Floats, Floats]
    series: int
    length: int
    anchor: Anchor

    def solve(self, strength: float) -> Affine:
        """Return the forecasts for a penalty (one of :data:`STRENGTHS`)."""
        models, columns, horizon = self.cross.shape
        size = np.trace(self.gram, axis1=1, axis2=2) / columns
        penalty = np.eye(columns) * (strength * size + 1e-12)[:, None, None]
        weights = np.linalg.solve(self.gram + penalty, self.cross)
        bias = self.means[1] - np.einsum("mc,mch->mh", self.means[0], weights)
        base = anchored(self.length, horizon, self.anchor)
        window = weights[:, : self.length]
        removed = anchored(self.length, self.length, self.anchor)
        window = base + window - removed @ window
        told = weights[:, self.length :].transpose(1, 0, 2)
        if models < self.series:
            told = np.broadcast_to(told, (len(told), self.series, horizon))
        context = np.array(told) if told.size else None
        return Affine(window[0] if models == 1 else window, bias, context)


@dataclass(frozen=True, eq=False)
class Products:
    """Means and centred products of windows, context and targets, from which all equations follow.

    Attributes:
        gram: (models, columns, columns).
        mean: (models, columns).
        sizes: columns of windows, of context, and of targets.
        series: series forecast.
    """

    gram: Floats
    mean: Floats
    sizes: tuple[int, int, int]
    series: int

    @classmethod
    def of(
        cls, rows: tuple[Floats, Floats, Floats], *, each: bool, weights: Floats | None = None
    ) -> Products:
        """Gather rows.

        Args:
            rows: windows (rows, series, length), context (rows, columns) and targets (rows,
                series, horizon).
            each: whether each series has coefficients of its own.
            weights: of rows, or None.
        """
        own, beside, y = _fewer(rows, each)
        if weights is not None:
            weights = weights[np.linspace(0, len(weights) - 1, len(own)).astype(int)]
        count, series, length = own.shape
        told = np.broadcast_to(beside[:, None], (count, series, beside.shape[1]))
        z = np.concatenate([own, told, y], axis=2)
        if each:
            gathered = [_moments(z[:, k], weights) for k in range(series)]
        else:
            repeated = None if weights is None else weights.repeat(series)
            gathered = [_moments(z.reshape(count * series, -1), repeated)]
        gram, mean = (np.stack(parts) for parts in zip(*gathered, strict=True))
        return cls(gram, mean, (length, beside.shape[1], y.shape[2]), series)

    def normal(self, anchor: Anchor, *, beside: bool) -> Normal:
        """Return the normal equations.

        Args:
            anchor: what is taken off each window and its targets.
            beside: whether the context is read.
        """
        length, columns, horizon = self.sizes
        kept = length + (columns if beside else 0)
        turn = np.zeros((length + columns + horizon, kept + horizon))
        turn[:length, :length] = np.eye(length) - anchored(length, length, anchor)
        turn[length:kept, length:kept] = np.eye(kept - length)
        turn[:length, kept:] = -anchored(length, horizon, anchor)
        turn[length + columns :, kept:] = np.eye(horizon)
        gram, mean = turn.T @ self.gram @ turn, self.mean @ turn
        means = mean[:, :kept], mean[:, kept:]
        cross = gram[:, :kept, kept:]
        return Normal(gram[:, :kept, :kept], cross, means, self.series, length, anchor)


def _fewer(rows: tuple[Floats, Floats, Floats], each: bool) -> tuple[Floats, Floats, Floats]:
    own, beside, y = rows
    columns = own.shape[2] + beside.shape[1] + y.shape[2]
    most = max(int(_WORK / (own.shape[1] * columns**2)), 2 * columns if each else columns, 64)
    if len(own) <= most:
        return rows
    kept = np.linspace(0, len(own) - 1, most).astype(int)
    return own[kept], beside[kept], y[kept]


def _moments(z: Floats, weights: Floats | None) -> tuple[Floats, Floats]:
    share = np.full(len(z), 1.0 / len(z)) if weights is None else weights / weights.sum()
    mean = share @ z
    centred = z - mean
    return (centred * share[:, None]).T @ centred, mean
