"""What a linear model or a network reads, made of the table that trees read.

Hybrids need a table in two forms: trees take numbers as they are and categories as codes, linear
models and networks take standardised numbers and one-hot categories. The second is computed from
the first, inside the body, so that both parts begin with one and the same preprocessing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lepta.models.front.table import MAX_CATEGORIES, TableFront
from lepta.models.graph import Graph

_CLIP = 10.0
_OF_TIME = 10
"""Columns of a date-time: its trend, and three of each of its periods."""
_FEW = 4
"""Numbers with no more distinct values than this get no knots."""


@dataclass(frozen=True, eq=False)
class Basis:
    """Standardised numbers, hinges of them, and one-hot categories, from a table with codes.

    A hinge is ``max(0, z - knot)`` of a standardised column z: with some of them, a linear model is
    a sum of broken lines, one a column (Hastie & Tibshirani, "Generalized Additive Models", 1986),
    which goes on straight beyond what was seen.

    Attributes:
        center, scale: mean and standard deviation of the numbers, the first columns of the table.
        flagged: numbers whose absence is told by a column of its own.
        times: columns of the table that are passed on as they are.
        bent: for each hinge, the position of its column among numbers, flags and times.
        knots: for each hinge, where it begins, (hinges,).
        columns: for each category, the column of its codes in the table, (categories,).
        codes: for each category, its code, (categories,).
    """

    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    flagged: tuple[int, ...]
    times: tuple[int, ...]
    bent: NDArray[np.int64]
    knots: NDArray[np.float32]
    columns: NDArray[np.int64]
    codes: NDArray[np.float32]

    @classmethod
    def of(cls, table: TableFront) -> Basis:
        """Return the basis with no hinges, by what the preprocessing has learned.

        Categories have a column each, but the rarer ones beyond 64 of a field, which count as
        unknown.
        """
        numbers, fields = len(table.numbers), len(table.vocabulary)
        known = [min(len(words), MAX_CATEGORIES) for words in table.vocabulary]
        return cls(
            center=table.center,
            scale=table.scale,
            flagged=table.flagged,
            times=tuple(range(numbers + fields, numbers + fields + _OF_TIME * len(table.times))),
            bent=np.zeros(0, np.int64),
            knots=np.zeros(0, np.float32),
            columns=np.repeat(np.arange(numbers, numbers + fields), known).astype(np.int64),
            codes=np.concatenate(
                [np.zeros(0), *(np.arange(1, count + 1) for count in known)]
            ).astype(np.float32),
        )

    def bend(self, x: NDArray[np.float32], knots: int) -> Basis:
        """Return the basis with hinges at quantiles of training rows (rows, columns).

        Args:
            x: the table.
            knots: at the most, for each number or part of a time that has enough values.
        """
        levels = np.linspace(0, 1, knots + 2)[1:-1]
        bent: list[int] = []
        places: list[NDArray[np.float32]] = []
        for position, column in enumerate(self._plain(x).T):
            distinct = np.unique(column)
            if len(distinct) > _FEW:
                found = np.unique(np.quantile(column, levels).astype(np.float32))
                places.append(found[found < distinct[-1]])
                bent += [position] * len(places[-1])
        return replace(
            self,
            bent=np.array(bent, np.int64),
            knots=np.concatenate([np.zeros(0, np.float32), *places]),
        )

    @classmethod
    def join(cls, parts: Sequence[Basis]) -> Basis:
        """Return the basis with the hinges of all parts, which differ in nothing else."""
        return replace(
            parts[0],
            bent=np.concatenate([part.bent for part in parts]),
            knots=np.concatenate([part.knots for part in parts]),
        )

    @property
    def straight(self) -> int:
        """How many columns come before the hinges: numbers, flags, times."""
        return len(self.center) + len(self.flagged) + len(self.times)

    @property
    def width(self) -> int:
        """How many columns there are."""
        return self.straight + len(self.bent) + len(self.codes)

    def run(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the columns (rows, width) of a table (rows, columns)."""
        plain = self._plain(x)
        hinges = np.maximum(plain[:, self.bent] - self.knots, np.float32(0))
        chosen = (x[:, self.columns] == self.codes).astype(np.float32)
        return np.hstack([plain, hinges, chosen])

    def _plain(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        numbers = x[:, : len(self.center)]
        absent = np.isnan(numbers)
        filled = np.where(absent, self.center, numbers)
        scaled = np.clip((filled - self.center) / self.scale, -_CLIP, _CLIP)
        flags = absent[:, list(self.flagged)].astype(np.float32)
        times = np.clip(x[:, list(self.times)], -_CLIP, _CLIP)
        return np.hstack([scaled, flags, times]).astype(np.float32)

    def emit(self, graph: Graph, matrix: str) -> str:
        """Add the nodes; return the name of (rows, width)."""
        parts = [*self._emit_numbers(graph, matrix), *self._emit_times(graph, matrix)]
        if len(self.bent):
            plain = _joined(graph, parts)
            chosen = graph.op("Gather", plain, graph.const(self.bent), axis=1)
            above = graph.op("Sub", chosen, graph.const(self.knots))
            parts = [plain, graph.op("Relu", above)]
        if len(self.codes):
            values = graph.op("Gather", matrix, graph.const(self.columns), axis=1)
            same = graph.op("Equal", values, graph.const(self.codes))
            parts.append(graph.op("Cast", same, to=1))
        return _joined(graph, parts)

    def _emit_numbers(self, graph: Graph, matrix: str) -> list[str]:
        if not len(self.center):
            return []
        ends = [graph.const([number], "int64") for number in (0, len(self.center), 1)]
        numbers = graph.op("Slice", matrix, *ends)
        limits = graph.const(-_CLIP, "float32"), graph.const(_CLIP, "float32")
        if not self.flagged:
            return [self._standardise(graph, numbers, limits)]
        absent = graph.op("IsNaN", numbers)
        filled = graph.op("Where", absent, graph.const(self.center), numbers)
        chosen = graph.op("Gather", absent, graph.const(list(self.flagged), "int64"), axis=1)
        flags = graph.op("Cast", chosen, to=1)
        return [self._standardise(graph, filled, limits), flags]

    def _standardise(self, graph: Graph, numbers: str, limits: tuple[str, str]) -> str:
        centred = graph.op("Sub", numbers, graph.const(self.center))
        return graph.op("Clip", graph.op("Div", centred, graph.const(self.scale)), *limits)

    def _emit_times(self, graph: Graph, matrix: str) -> list[str]:
        if not self.times:
            return []
        limits = graph.const(-_CLIP, "float32"), graph.const(_CLIP, "float32")
        chosen = graph.op("Gather", matrix, graph.const(list(self.times), "int64"), axis=1)
        return [graph.op("Clip", chosen, *limits)]


def _joined(graph: Graph, parts: Sequence[str]) -> str:
    return graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
