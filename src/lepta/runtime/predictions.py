"""What a prediction gives back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.tasks import OutputSpec, Task

Piece = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Row numbers, and the scores of these rows."""


def gather(pieces: Iterable[Piece], count: int, output: OutputSpec) -> NDArray[Any]:
    """Return the scores of ``count`` rows from pieces in any order.

    Rows of different shapes (masks of images of many sizes) come as an object array of arrays.
    """
    held = list(pieces)
    shapes = {scores.shape[1:] for _, scores in held}
    if len(shapes) > 1 or any(scores.dtype == object for _, scores in held):
        ragged = np.empty(count, object)
        for rows, scores in held:
            for row, value in zip(rows, scores, strict=True):
                ragged[row] = value
        return ragged
    if not held:
        return output.empty(count)
    whole = np.empty((count, *held[0][1].shape[1:]), np.float32)
    for rows, scores in held:
        whole[rows] = scores
    return whole


def answers(columns: Mapping[str, NDArray[Any]], count: int) -> list[dict[str, Any]]:
    """Return a prediction table row by row; columns ``name[key]`` are gathered under ``name``."""
    rows: list[dict[str, Any]] = [{} for _ in range(count)]
    for column, values in columns.items():
        group = re.fullmatch(r"(\w+)\[(.*)\]", column, re.DOTALL)
        for row, value in zip(rows, values, strict=True):
            if group:
                row.setdefault(group[1], {})[group[2]] = value
            else:
                row[column] = value
    return rows


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scores of a model for some rows, and the answers they mean.

    Attributes:
        scores: float32 array, rows first, as the task's output says: class probabilities
            (rows, classes), values (rows, 1), or maps (rows, ...). An object array of arrays
            where rows differ in shape.
        task: what was predicted.
    """

    scores: NDArray[np.float32]
    task: Task

    @property
    def prediction(self) -> NDArray[Any]:
        """Answers, one a row: class labels or numbers."""
        return self.task.decide(self.scores)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Columns of the prediction table: ``prediction``, then ``probability[CLASS]``."""
        return self.task.columns(self.scores)

    def rows(self) -> list[dict[str, Any]]:
        """Return the prediction table row by row, as plain Python values."""
        columns = {name: values.tolist() for name, values in self.columns().items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def __len__(self) -> int:
        return len(self.scores)
