"""Categories for trees that only compare numbers, and the way back to the table.

A category of few values becomes one column a value. One of many becomes its mean targets
(Micci-Barreca 2001, doi:10.1145/507533.507538, shrunk towards the mean of all rows) and its code,
which is its rank by frequency. Training rows are given means of *other* training rows, so that no
row is told its own answer. In the graph nothing is left of the columns but look-ups: a tree that
asks for one value compares the code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.models.front import Front
from lepta.models.trees.ensemble import Ensemble
from lepta.models.trees.fitted import Rows
from lepta.models.trees.total import Lookup
from lepta.tasks import Task

FOLDS = 5
"""Parts of the training rows, each given the means of the others."""
MOST_CLASSES = 8
"""Classes, the most frequent ones, whose shares a category is described by."""


@dataclass(frozen=True, eq=False)
class Encoding:
    """Columns made of the prepared table.

    The table's columns come first (codes of few values among them, which no tree is shown), then
    the lookups, then the values.

    Attributes:
        columns: of the table.
        shown: which columns of those, lookups included, trees see.
        lookups: mean targets by code.
        values: pairs of a column and a code: 1 where the row has the code, else 0.
    """

    columns: int
    shown: NDArray[np.int64]
    lookups: tuple[Lookup, ...]
    values: NDArray[np.int64]

    @classmethod
    def fit(
        cls, front: Front, task: Task, rows: Rows, few: int, seed: int
    ) -> tuple[Encoding, NDArray[np.float32]]:
        """Learn mean targets from training rows.

        Args:
            front: the preprocessing that made the rows.
            task: what is learned.
            rows: the training rows.
            few: a category of at most so many values becomes one column a value.
            seed: of the parts that the training rows are divided into.

        Returns:
            The encoding, and the training rows as trees are to see them.
        """
        width = rows.x.shape[1]
        sizes = _sizes(front)
        small = [(column, size) for column, size in sizes if size <= few]
        large = [(column, size) for column, size in sizes if size > few]
        wanted = _wanted(task, rows.y)
        parts = np.random.default_rng(seed).permutation(len(rows.y)) % FOLDS
        lookups, own = [], []
        for column, size in large:
            codes = rows.x[:, column].astype(np.int64)
            whole, elsewhere = _means(codes, size, wanted, rows.weights, parts)
            lookups += [Lookup(column, mean) for mean in whole.T]
            own.append(elsewhere)
        values = [(c, code) for c, size in small for code in range(1, size)]
        hidden = [column for column, _ in small]
        encoding = cls(
            columns=width,
            shown=np.setdiff1d(np.arange(width + len(lookups)), hidden),
            lookups=tuple(lookups),
            values=np.array(values, np.int64).reshape(-1, 2),
        )
        return encoding, encoding._columns(rows.x, own)

    def run(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows of the table as trees see them."""
        return self._columns(x, [lookup.run(x)[:, None] for lookup in self.lookups])

    def files(self) -> dict[str, bytes]:
        """Return the lookups as a file, where there are any."""
        from safetensors.numpy import save

        arrays = {f"{n}.{each.column}": each.values for n, each in enumerate(self.lookups)}
        return {"lookups.safetensors": save(arrays)} if arrays else {}

    def _columns(
        self, x: NDArray[np.float32], lookups: list[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        given = np.hstack([x, *lookups])[:, self.shown]
        equal = x[:, self.values[:, 0]] == self.values[:, 1]
        return np.hstack([given, equal.astype(np.float32)])

    def restored(self, trees: Ensemble) -> Ensemble:
        """Return trees over what trees see as trees over the table and its lookups."""
        position = trees.column - len(self.shown)
        asks = position >= 0
        if not len(self.values):
            return replace(trees, column=self.shown[trees.column])
        column, code = self.values[np.where(asks, position, 0)].T
        plain = self.shown[np.where(asks, 0, trees.column)] if len(self.shown) else column
        return replace(
            trees,
            column=np.where(asks, column, plain),
            threshold=np.where(asks, np.float32(0), trees.threshold),
            missing_left=trees.missing_left & ~asks,
            left=np.where(asks, trees.right, trees.left),
            right=np.where(asks, trees.left, trees.right),
            counts=asks.astype(np.int64),
            members=code[asks].astype(np.float32),
        )


def _sizes(front: Front) -> list[tuple[int, int]]:
    """Return (column, codes) of each category, the code of unknown values included."""
    table = front.table
    words = () if table is None else table.vocabulary
    return [(c, len(w) + 1) for c, w in zip(front.categorical, words, strict=True)]


def _wanted(task: Task, y: NDArray[Any]) -> NDArray[np.float64]:
    """Return the numbers whose means describe a category, (rows, numbers)."""
    if not task.is_classification:
        return np.asarray(y, np.float64)[:, None]
    counts = np.bincount(y, minlength=task.width)
    described = np.argsort(-counts, kind="stable")[: min(MOST_CLASSES, task.width - 1)]
    return np.asarray(y[:, None] == described, np.float64)


def _means(
    codes: NDArray[np.int64],
    size: int,
    wanted: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    parts: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return shrunk means by code (codes, numbers), and those of other parts for each row."""
    weight = np.ones(len(codes)) if weights is None else weights
    cells = parts * size + codes

    def summed(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = [np.bincount(cells, column, FOLDS * size) for column in numbers.T]
        return np.stack(columns, axis=1).astype(np.float64).reshape(FOLDS, size, -1)

    sums, counts = summed(wanted * weight[:, None]), summed(weight[:, None])

    def shrunk(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float32]:
        usual = sums.sum(axis=-2, keepdims=True) / np.maximum(
            counts.sum(axis=-2, keepdims=True), 1e-12
        )
        return np.asarray((sums + _STRENGTH * usual) / (counts + _STRENGTH), np.float32)

    elsewhere = shrunk(sums.sum(axis=0) - sums, counts.sum(axis=0) - counts)
    return shrunk(sums.sum(axis=0), counts.sum(axis=0)), elsewhere[parts, codes]


_STRENGTH = 10.0
"""Rows of the usual mean that are added to each category's own."""
