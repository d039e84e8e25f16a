"""Which rows are learned from and which are held out, unit by unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import DataError
from lepta.core.schema import Role
from lepta.data import Dataset, folds
from lepta.data.splits import group_codes
from lepta.tasks import Task

Positions = NDArray[np.int64]

_FOLDS = 8
_FEW_FOLDS = 5
_MANY_ROWS = 20_000
_REPEATED = 3000
"""Rows up to which cross-validation is done twice, the second time with other folds."""


@dataclass(frozen=True)
class Folds:
    """How the rows of a search are held out.

    Attributes:
        rows: all rows that may be learned from: the train and valid ones.
        pairs: of each fold, positions in ``rows`` that are learned from, and those held out.
        each: folds after which every row was held out once; what follows are repeats.
    """

    rows: Dataset
    pairs: tuple[tuple[Positions, Positions], ...]
    each: int

    @property
    def crossed(self) -> bool:
        """Whether every row is held out some time; else only the valid rows are."""
        return self.each > 1


def plan_folds(data: Dataset, task: Task, seed: int, *, given: bool) -> Folds:
    """Return the folds of a search.

    Rows are cross-validated where their order means nothing. The valid rows alone are held out
    where they were given, lie later in time, or carry a promise of the task.

    Args:
        data: with the splits train and valid.
        task: what is learned.
        seed: of the folds.
        given: whether the valid rows were chosen by the caller.
    """
    train, valid = data.splits["train"], data.splits["valid"]
    rows = data.take(np.concatenate([train, valid]))
    ordered = data.schema.one(Role.TIME) is not None or data.window is not None
    if given or ordered or task.promises or task.follows_groups:
        cut = len(train)
        pair = (np.arange(cut), np.arange(cut, len(rows)))
        return Folds(rows, (pair,), 1)
    count = _FOLDS if len(rows) <= _MANY_ROWS else _FEW_FOLDS
    groups = group_codes(rows)
    if groups is not None:
        count = max(2, min(count, len(np.unique(groups)) // 2))
    pairs: list[tuple[Positions, Positions]] = []
    for repeat in range(2 if len(rows) <= _REPEATED else 1):
        try:
            pairs += folds(rows, count, seed=seed + repeat)
        except DataError:
            if not repeat:
                raise
    return Folds(rows, tuple(pairs), count)
