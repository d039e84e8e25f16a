"""Numbers as places on a scale of quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.models.graph import Graph

_WIDEST = 256
"""Columns, about, that all pieces together make at the most."""
_NARROWEST = 5e-3
"""Least width of a piece, in standard deviations: narrower ones would magnify rounding."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """Piecewise-linear encoding (Gorishniy et al. 2022, "On embeddings for numerical features").

    A column is cut at quantiles, and each piece becomes a column that grows from -0.5 to 0.5 while
    the number goes through it. What follows can then bend at the cuts, and outliers are tame.

    Attributes:
        columns: which column of the table each piece is of, (pieces,).
        low: where it begins, (pieces,).
        width: how wide it is, (pieces,).
    """

    columns: NDArray[np.int64]
    low: NDArray[np.float32]
    width: NDArray[np.float32]

    @classmethod
    def of(cls, table: NDArray[np.float32], most: int) -> Pieces:
        """Cut the columns of training rows (rows, columns) into ``most`` pieces or fewer.

        Fewer where there are many columns; columns of two values are left whole.
        """
        count = int(np.clip(_WIDEST // max(1, table.shape[1]), 2, max(2, most)))
        columns: list[int] = []
        low: list[float] = []
        width: list[float] = []
        for position, column in enumerate(table.T):
            cuts = _apart(np.quantile(column, np.linspace(0, 1, count + 1), method="lower"))
            if most < 2 or len(cuts) < 3:
                continue
            columns += [position] * (len(cuts) - 1)
            low += cuts[:-1].tolist()
            width += np.diff(cuts).tolist()
        return cls(
            np.array(columns, np.int64), np.array(low, np.float32), np.array(width, np.float32)
        )

    def run(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the table and its pieces, (rows, columns + pieces)."""
        through = (table[:, self.columns] - self.low) / self.width
        return np.hstack([table, np.clip(through, 0, 1) - np.float32(0.5)])

    def emit(self, graph: Graph, table: str) -> str:
        """Add the nodes; return the name of the table and its pieces."""
        if not len(self.columns):
            return table
        chosen = graph.op("Gather", table, graph.const(self.columns), axis=1)
        above = graph.op("Sub", chosen, graph.const(self.low))
        through = graph.op("Div", above, graph.const(self.width))
        limits = graph.const(0.0, "float32"), graph.const(1.0, "float32")
        inside = graph.op("Clip", through, *limits)
        level = graph.op("Sub", inside, graph.const(0.5, "float32"))
        return graph.op("Concat", table, level, axis=1)

    def same(self, other: Pieces) -> bool:
        """Return whether both cut alike."""
        pairs = zip(self.tensors().values(), other.tensors().values(), strict=True)
        return all(np.array_equal(one, two) for one, two in pairs)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {"columns": self.columns, "low": self.low, "width": self.width}


def _apart(places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the places, in order, that are not too near to the one before."""
    kept = [places[0]]
    for place in places[1:]:
        if place - kept[-1] >= _NARROWEST:
            kept.append(place)
    return np.array(kept, np.float32)
