"""From raw scores to shares of the normal rows: a line through ranks, in NumPy and in ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lepta.tasks.base import GraphBuilder

_KNOTS = 64
"""Ranks kept evenly, and as many in the upper tenth, where thresholds lie."""
_FINEST = 1e-4
"""Knots nearer to each other than this share of the range are one: scores that are alike up to
rounding are not told apart."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """A line through points that rises from 0 below the first knot to nearly 1 above the last.

    Above the last knot the line bends so that it rises without end: what is stranger than all
    normal rows still has an order.

    Attributes:
        knots: raw scores, rising, (knots,).
        shares: shares of normal rows below them, (knots,).
    """

    knots: NDArray[np.float32]
    shares: NDArray[np.float32]

    @classmethod
    def of(cls, values: NDArray[Any], weights: NDArray[np.float64] | None, level: float) -> Self:
        """Return the ranks of raw scores (rows,), exact at the share ``level``.

        The row of rank i of n is given the share i / (n + 1): so much of *new* rows lies below
        it on the average. Rows of equal scores have the least of their ranks, so that a score that
        many normal rows have is not answered anomalous; what lies above them has the highest.
        """
        order = np.argsort(values, kind="stable")
        ranked = np.asarray(values, np.float64)[order]
        mass = np.ones(len(ranked)) if weights is None else weights[order]
        reached = np.cumsum(mass) / (mass.sum() + mass.mean())
        span, size = float(ranked[-1] - ranked[0]), float(np.abs(ranked).max())
        if span < 1e-6 * max(size, 1e-6):  # less than float32 can part
            span = max(size, 1.0) * 1e-3
        wanted = _levels(ranked, reached, level)
        places = np.interp(wanted, reached, ranked)
        points = [(ranked[0] - span, 0.0), *_points(places, wanted, _FINEST * span)]
        knots, shares = np.array(points).T.astype(np.float32)
        keep = np.r_[True, np.diff(knots) > 0]
        return cls(knots[keep], shares[keep])

    @property
    def _span(self) -> np.float32:
        """Distance beyond the last knot at which half of what is missing to 1 is reached."""
        return np.float32(self.knots[-1] - self.knots[0])

    def __call__(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the shares of raw scores; (rows, 1) each."""
        part = np.clip((raw - self.knots[:-1]) / np.diff(self.knots), 0, 1)
        below = part @ np.diff(self.shares)[:, None]
        beyond = np.maximum((raw - self.knots[-1]) / self._span, 0)
        return np.asarray(below + (1 - self.shares[-1]) * (beyond / (1 + beyond)), np.float32)

    def emit(self, graph: GraphBuilder, raw: str) -> str:
        """Add the same to a graph; return the name of the shares (rows, 1)."""
        zero, one = graph.const(0.0, "float32"), graph.const(1.0, "float32")
        past = graph.op("Sub", raw, graph.const(self.knots[:-1]))
        part = graph.op("Div", past, graph.const(np.diff(self.knots)))
        steps = graph.const(np.diff(self.shares)[:, None])
        below = graph.op("MatMul", graph.op("Clip", part, zero, one), steps)
        far = graph.op("Sub", raw, graph.const(self.knots[-1]))
        beyond = graph.op("Max", graph.op("Div", far, graph.const(self._span)), zero)
        bent = graph.op("Div", beyond, graph.op("Add", beyond, one))
        rest = graph.op("Mul", bent, graph.const(np.float32(1 - self.shares[-1])))
        return graph.op("Add", below, rest)


def _points(
    places: NDArray[np.float64], shares: NDArray[np.float64], near: float
) -> list[tuple[float, float]]:
    """Return the knots at ``places``, rising; of those nearer than ``near`` the line makes a step.

    It is flat up to ``near`` above the first of them, so that rounding does not matter.
    """
    starts = [0]
    for number, place in enumerate(places):
        if place - places[starts[-1]] >= near:
            starts.append(number)
    points: list[tuple[float, float]] = []
    for first, following in zip(starts, [*starts[1:], len(places)], strict=True):
        place, low, high = places[first], shares[first], shares[following - 1]
        points.append((float(place), float(low)))
        room = following == len(places) or places[following] - place > 2 * near
        if following - first > 1 and room:
            points += [(float(place + near), float(low)), (float(place + 2 * near), float(high))]
    return points


def _levels(
    ranked: NDArray[np.float64], reached: NDArray[np.float64], level: float
) -> NDArray[np.float64]:
    """Return the shares at which knots are kept: all of them, if there are few rows."""
    if len(reached) <= 2 * _KNOTS:
        return reached
    low, high = float(reached[0]), float(reached[-1])
    even = np.linspace(low, high, _KNOTS)
    tail = 1.0 - np.geomspace(0.1, 1.0 - high, _KNOTS)
    there = ranked[min(int(np.searchsorted(reached, level)), len(ranked) - 1)]
    first = reached[np.searchsorted(ranked, there)]  # of the rows that have the score at the level
    return np.unique(np.r_[even, tail, first, level].clip(low, high))
