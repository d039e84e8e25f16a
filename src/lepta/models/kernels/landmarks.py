"""Rows that others are compared with, and what the comparison gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lepta.models.graph import Graph

Shape = Literal["gauss", "exponential"]
"""How likeness falls with the distance r, in units of the length: as exp(-r^2 / 2) or exp(-r)."""

ROUND = 0.01
"""Added to squared distances before their root is taken: float32 has no digits for smaller ones.

The kernel stays positive definite, for exp(-sqrt(t + c)) is completely monotone in t.
"""
_PIECE = 4096


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Points (points, columns) and what each column is multiplied by before distances (columns,).

    Equal landmarks are found by comparing arrays: models of several folds may have the same.
    """

    points: NDArray[np.float32]
    scale: NDArray[np.float32]

    def same(self, other: Landmarks) -> bool:
        """Return whether both compare with the same points by the same scale."""
        return np.array_equal(self.points, other.points) and np.array_equal(self.scale, other.scale)


@dataclass(frozen=True, eq=False)
class Likeness:
    """The likeness of rows to all points of one or several sets of landmarks.

    Squared distances are expanded, ``|s x|^2 - 2 (s x) . (s p) + |s p|^2``, so that they are a
    few matrix products in the graph whatever the number of points.
    """

    shape: Shape
    groups: tuple[Landmarks, ...]

    @property
    def parts(self) -> tuple[NDArray[np.float32], ...]:
        """The constants of the matrix products.

        They are squared scales (columns, groups); the group of each point (groups, points);
        products (columns, points); the squared size of each point (points,).
        """
        squares = np.stack([group.scale**2 for group in self.groups], axis=1)
        counts = [len(group.points) for group in self.groups]
        member = np.repeat(np.eye(len(counts)), counts, axis=1)
        scaled = [(group.points * group.scale**2).T for group in self.groups]
        own = [((g.points * g.scale).astype(np.float64) ** 2).sum(axis=1) for g in self.groups]
        products = -2 * np.hstack(scaled)
        arrays = (squares, member, products, np.concatenate(own))
        return tuple(array.astype(np.float32) for array in arrays)

    def of(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the likeness of rows (rows, columns) to all points, (rows, points)."""
        squares, member, products, own = self.parts
        made = np.empty((len(x), len(own)), np.float32)
        for start in range(0, len(x), _PIECE):
            some = x[start : start + _PIECE]
            apart = (some * some) @ squares @ member + (some @ products + own)
            made[start : start + _PIECE] = self._fall(apart)
        return made

    def _fall(self, apart: NDArray[np.float32]) -> NDArray[np.float32]:
        near = np.maximum(apart, 0, dtype=np.float32)
        if self.shape == "gauss":
            return np.exp(np.float32(-0.5) * near)
        return np.exp(-np.sqrt(near + np.float32(ROUND)))

    def emit(self, graph: Graph, table: str) -> str:
        """Add the nodes; return the name of the likeness (rows, points)."""
        squares, member, products, own = self.parts
        size = graph.op("MatMul", graph.op("Mul", table, table), graph.const(squares))
        apart = graph.op("Gemm", table, graph.const(products), graph.const(own))
        if len(self.groups) > 1:
            apart = graph.op("Gemm", size, graph.const(member), apart)
        else:
            apart = graph.op("Add", apart, size)
        near = graph.op("Relu", apart)
        if self.shape == "gauss":
            return graph.op("Exp", graph.op("Mul", near, graph.const(-0.5, "float32")))
        root = graph.op("Sqrt", graph.op("Add", near, graph.const(ROUND, "float32")))
        return graph.op("Exp", graph.op("Neg", root))


def merge(
    parts: Sequence[tuple[Landmarks, NDArray[np.float32]]],
) -> list[tuple[Landmarks, NDArray[np.float32]]]:
    """Return landmarks and the weights of their points, equal landmarks added up."""
    merged: list[tuple[Landmarks, NDArray[np.float32]]] = []
    for group, weights in parts:
        for position, (known, sums) in enumerate(merged):
            if known.same(group):
                merged[position] = (known, sums + weights)
                break
        else:
            merged.append((group, weights))
    return merged


def squared_distances(x: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return squared Euclidean distances (rows, points)."""
    apart = (x * x).sum(axis=1)[:, None] + (points * points).sum(axis=1) - 2 * x @ points.T
    return np.asarray(np.maximum(apart, 0))


def median_distance(points: NDArray[np.float32]) -> float:
    """Return the median distance of two of the points, 1 where they are all one."""
    if len(points) < 2:
        return 1.0
    exact = points.astype(np.float64)
    apart = squared_distances(exact, exact)[np.triu_indices(len(points), 1)]
    positive = apart[apart > 0]
    middle = float(np.median(apart)) or (float(np.median(positive)) if positive.size else 1.0)
    return float(np.sqrt(middle))
