"""Raw scores of training rows by models that did not see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lepta.core.schema import Role
from lepta.data.splits import folds

if TYPE_CHECKING:
    from lepta.data import Dataset

FOLDS = 5
Ints = NDArray[np.int64]


def parts_of_rows(data: Dataset, seed: int, count: int = FOLDS) -> list[Ints]:
    """Return the positions of the rows in parts, each row in one of them.

    Rows of a group stay together and classes are spread evenly. With a time field the parts are
    stretches of time, so that a model scores rows of another time than it learned from, as it will
    have to.

    Args:
        data: the rows.
        seed: of the randomness.
        count: how many parts.
    """
    time = data.schema.one(Role.TIME)
    if time is None:
        return [held for _, held in folds(data, count, seed=seed)]
    order = np.argsort(data.numpy(time.name), kind="stable")
    return [np.sort(part) for part in np.array_split(order, count)]


def held_out_raw(
    parts: Sequence[Ints], rows: int, score: Callable[[Ints, Ints], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return raw scores (rows, width), those of each part by a model fitted on the others.

    Args:
        parts: positions of the rows, each row in one part.
        rows: how many there are.
        score: fits a model on the rows at its first argument and returns the raw scores of those
            at its second.
    """
    everything = np.arange(rows)
    scores = [score(np.setdiff1d(everything, part), part) for part in parts]
    raw = np.zeros((rows, scores[0].shape[1]), np.float32)
    for part, found in zip(parts, scores, strict=True):
        raw[part] = found
    return raw
