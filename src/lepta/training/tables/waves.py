"""Numbers as waves of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.models.graph import Graph

_WIDEST = 256
"""Columns, about, that all waves together make at the most."""
_SPREAD = 0.2
"""Standard deviation of the frequencies, in turns for one standard deviation of the number."""
_SOFT = 3.0
"""Standard deviations that no number reaches once it is bounded."""


@dataclass(frozen=True, eq=False)
class Waves:
    """Periodic encoding (Gorishniy et al. 2022), of numbers that are smoothly bounded.

    Numbers z become z / sqrt(1 + (z / 3)^2), and each has some cosines of itself beside it, as in
    RealMLP (Holzmueller et al. 2024). Its frequencies are learned, slowly; these are drawn once
    and stay, so that the models of all folds read one encoding.

    Attributes:
        columns: which column of the table each wave is of, (waves,).
        turns: its frequency, (waves,), in radians.
        phase: where it begins, (waves,).
    """

    columns: NDArray[np.int64]
    turns: NDArray[np.float32]
    phase: NDArray[np.float32]

    @classmethod
    def of(cls, table: NDArray[np.float32], most: int, seed: int = 0) -> Waves:
        """Draw ``most`` waves or fewer for each column (rows, columns) of more than two values."""
        varied = [n for n, column in enumerate(table.T) if len(np.unique(column)) > 2]
        count = int(np.clip(_WIDEST // max(1, len(varied)), 2, max(2, most)))
        rng = np.random.default_rng(seed)
        columns = np.repeat(np.array(varied, np.int64), count)
        turns = 2 * np.pi * rng.normal(scale=_SPREAD, size=len(columns))
        phase = rng.uniform(0, 2 * np.pi, len(columns))
        return cls(columns, turns.astype(np.float32), phase.astype(np.float32))

    def run(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the bounded table and its waves, (rows, columns + waves)."""
        third = table * np.float32(1 / _SOFT)
        soft = table / np.sqrt(third * third + 1)
        return np.hstack([soft, np.cos(soft[:, self.columns] * self.turns + self.phase)])

    def emit(self, graph: Graph, table: str) -> str:
        """Add the nodes; return the name of the bounded table and its waves."""
        third = graph.op("Mul", table, graph.const(1 / _SOFT, "float32"))
        size = graph.op("Add", graph.op("Mul", third, third), graph.const(1.0, "float32"))
        soft = graph.op("Div", table, graph.op("Sqrt", size))
        if not len(self.columns):
            return soft
        chosen = graph.op("Gather", soft, graph.const(self.columns), axis=1)
        angle = graph.op("Mul", chosen, graph.const(self.turns))
        waves = graph.op("Cos", graph.op("Add", angle, graph.const(self.phase)))
        return graph.op("Concat", soft, waves, axis=1)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {"columns": self.columns, "turns": self.turns, "phase": self.phase}
