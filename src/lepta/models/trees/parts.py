"""What each booster of a task learns: all raw scores, or one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.models.trees.fitted import Rows
from lepta.models.trees.ranked import OBJECTIVE
from lepta.tasks import Quantile, Task

NUMBERS = frozenset({"regression", "quantile"})
"""Tasks whose target is a number with a unit: it is learned standardised."""


@dataclass(frozen=True)
class Part:
    """What one booster learns.

    Attributes:
        objective: LightGBM's parameters for it.
        y: targets, rows first.
        rows: which rows it learns from, (rows,); None for all.
    """

    objective: dict[str, Any]
    y: NDArray[Any]
    rows: NDArray[np.bool_] | None = None

    def of(self, data: Rows) -> Rows:
        """Return the rows that the part learns from."""
        if self.rows is None:
            return replace(data, y=self.y)
        chosen = None if data.weights is None else data.weights[self.rows]
        return Rows(data.x[self.rows], self.y[self.rows], chosen)

    @property
    def constant(self) -> float | None:
        """The raw score of every row where there is nothing to tell apart; else None."""
        if self.objective["objective"] != "binary":
            return None
        y = self.y if self.rows is None else self.y[self.rows]
        if len(y) and y.min() < y.max():
            return None
        share = (y.sum() + 0.5) / (len(y) + 1)
        return float(np.log(share / (1 - share)))


def parts_of(task: Task, y: NDArray[Any], center: float, scale: float) -> list[Part]:
    """Return how a target is divided among boosters.

    Args:
        task: what is learned.
        y: targets, rows first.
        center: what a number is standardised by, its mean,
        scale: and its standard deviation.
    """
    return PARTS[task.name](task, (y - center) / scale if task.name in NUMBERS else y)


def _classes(task: Task, y: NDArray[Any]) -> list[Part]:
    if task.width == 2:
        return [Part({"objective": "binary"}, y)]
    return [Part({"objective": "multiclass", "num_class": task.width}, y)]


def _number(task: Task, y: NDArray[Any]) -> list[Part]:
    return [Part({"objective": "regression"}, y)]


def _order(task: Task, y: NDArray[Any]) -> list[Part]:
    return [Part(OBJECTIVE, y)]


def _quantiles(task: Task, y: NDArray[Any]) -> list[Part]:
    assert isinstance(task, Quantile)  # noqa: S101
    return [Part({"objective": "quantile", "alpha": level}, y) for level in task.quantiles]


def _labels(task: Task, y: NDArray[Any]) -> list[Part]:
    return [Part({"objective": "binary"}, np.ascontiguousarray(y[:, k])) for k in range(task.width)]


def _steps(task: Task, y: NDArray[Any]) -> list[Part]:
    """Whether a row that reaches a class goes further, asked of these rows only."""
    return [
        Part({"objective": "binary"}, (y > k).astype(np.float64), y >= k)
        for k in range(task.raw_width)
    ]


PARTS: dict[str, Callable[[Task, NDArray[Any]], list[Part]]] = {
    "binary": _classes,
    "multiclass": _classes,
    "regression": _number,
    "ranking": _order,
    "quantile": _quantiles,
    "multilabel": _labels,
    "ordinal": _steps,
}
"""Task name -> how its target is divided."""
