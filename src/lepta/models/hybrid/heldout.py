"""Raw scores of training rows by models that did not see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.schema import Role
from lepta.data.splits import folds, group_codes
from lepta.models.linear import fit_weights
from lepta.tasks import Task

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
        count: how many parts; fewer where there are fewer groups.
    """
    time = data.schema.one(Role.TIME)
    if time is None:
        groups = group_codes(data)
        most = len(data) if groups is None else len(np.unique(groups))
        return [held for _, held in folds(data, min(count, most), seed=seed)]
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


def unseen_linear(
    x: NDArray[np.float32],
    y: NDArray[Any],
    rows: NDArray[np.float64] | None,
    task: Task,
    strength: float,
    parts: Sequence[Ints],
) -> NDArray[np.float32]:
    """Return raw scores of training rows (rows, width) by linear models that did not see them.

    Args:
        x: what the models read, (rows, columns).
        y: targets.
        rows: row weights, or None.
        task: what is learned.
        strength: inverse strength of regularisation.
        parts: positions of the rows, each row in one part. If all others are of one class, a
            part is scored by a model of all rows.
    """

    def score(learned: Ints, held: Ints) -> NDArray[np.float32]:
        if task.is_classification and len(np.unique(y[learned])) < 2:
            learned = np.arange(len(y))
        known = None if rows is None else rows[learned]
        weights, bias = fit_weights(x[learned], y[learned], task, strength, known)
        return np.asarray(x[held] @ weights + bias, np.float32)

    return held_out_raw(parts, len(x), score)
