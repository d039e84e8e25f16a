"""Raw scores as the sum of trees: what every tree model is in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lepta.models.graph import Graph
from lepta.models.trees.ensemble import Ensemble


@dataclass(frozen=True, eq=False)
class Lookup:
    """A column made of a column of codes: the value kept for each code.

    Attributes:
        column: column of the table that holds the codes.
        values: by code, (codes,).
    """

    column: int
    values: NDArray[np.float32]

    def run(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the values of the rows of a table, (rows,)."""
        return self.values[table[:, self.column].astype(np.int64)]

    def emit(self, graph: Graph, matrix: str) -> str:
        """Add the nodes; return the name of the column (rows, 1)."""
        codes = graph.op("Gather", matrix, graph.const([self.column], "int64"), axis=1)
        return graph.op("Gather", graph.const(self.values), graph.op("Cast", codes, to=7))


@dataclass(frozen=True, eq=False)
class TreeSum:
    """Trees, and what is added to their sum.

    Trees of several raw scores at once leave the number of their leaf in a sum of their own, one
    a tree, after the raw scores; the leaf's row of ``vectors`` is then added to all raw scores.

    Attributes:
        ensemble: the trees; columns behind those of the table are lookups.
        bias: added to the raw scores of every row, (targets,).
        columns: of the table.
        vectors: raw scores of leaves that have several, (such leaves, targets).
        lookups: columns that are made of those of the table.
    """

    ensemble: Ensemble
    bias: NDArray[np.float64]
    columns: int
    vectors: NDArray[np.float64] | None = None
    lookups: tuple[Lookup, ...] = ()

    @property
    def targets(self) -> int:
        """How many raw scores there are."""
        return len(self.bias)

    @property
    def picks(self) -> int:
        """How many trees leave the number of their leaf."""
        return int(max(0, self.ensemble.targets.max(initial=0) + 1 - self.targets))

    def scaled(self, weight: float) -> TreeSum:
        """Return the sum times ``weight``."""
        numbers = self.ensemble.targets >= self.targets
        values = np.where(numbers, self.ensemble.values, self.ensemble.values * weight)
        return replace(
            self,
            ensemble=replace(self.ensemble, values=values),
            bias=self.bias * weight,
            vectors=None if self.vectors is None else self.vectors * weight,
        )

    def shifted(self, amount: float) -> TreeSum:
        """Return the sum plus ``amount``."""
        return replace(self, bias=self.bias + amount)

    @classmethod
    def add(cls, parts: Sequence[TreeSum]) -> TreeSum:
        """Return the sum of several over the same table."""
        columns, targets = parts[0].columns, parts[0].targets
        lookups = picks = rows = 0
        moved = []
        for part in parts:
            trees = part.ensemble
            own, numbers = trees.column >= columns, trees.targets >= targets
            moved.append(
                replace(
                    trees,
                    column=trees.column + np.where(own, lookups, 0),
                    targets=trees.targets + np.where(numbers, picks, 0),
                    values=trees.values + np.where(numbers, rows, 0),
                )
            )
            lookups, picks = lookups + len(part.lookups), picks + part.picks
            rows += 0 if part.vectors is None else len(part.vectors)
        vectors = [part.vectors for part in parts if part.vectors is not None]
        return cls(
            ensemble=Ensemble.join(moved),
            bias=np.sum([part.bias for part in parts], axis=0),
            columns=columns,
            vectors=np.concatenate(vectors) if vectors else None,
            lookups=tuple(lookup for part in parts for lookup in part.lookups),
        )

    def emit(self, graph: Graph, matrix: str) -> str:
        """Add the nodes; return the name of the raw scores (rows, targets), bias left out."""
        if self.lookups:
            made = [lookup.emit(graph, matrix) for lookup in self.lookups]
            matrix = graph.op("Concat", matrix, *made, axis=1)
        sums = self.ensemble.emit(graph, matrix, self.targets + self.picks)
        if self.vectors is None:
            return sums

        def part(begin: int, end: int) -> str:
            ends = [graph.const([number], "int64") for number in (begin, end, 1)]
            return graph.op("Slice", sums, *ends)

        numbers = graph.op("Cast", part(self.targets, self.targets + self.picks), to=7)
        rows = graph.op("Gather", graph.const(self.vectors, "float32"), numbers)
        total = graph.op("ReduceSum", rows, graph.const([1], "int64"), keepdims=0)
        plain = self.ensemble.targets < self.targets
        return graph.op("Add", part(0, self.targets), total) if plain.any() else total
