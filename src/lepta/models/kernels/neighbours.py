"""Nearest neighbours: what was answered for the rows most like this one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.core.space import Choice
from lepta.models.front import Front, fit_front
from lepta.models.front.front import PLAIN, TABLE
from lepta.models.graph import Graph
from lepta.models.kernels.relevance import relevances
from lepta.models.learner import ANSWERS, Fitted, Learner, row_weights
from lepta.models.linear import linear_loss
from lepta.models.paths import few_threads
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

COUNTS = (3, 5, 8, 12, 20, 32, 50, 80, 128, 200)
"""Numbers of neighbours tried."""
_LEAST = 1e-4
"""Least squared distance that counts as one: float32 has no digits for smaller ones."""
_RAREST = 1e-4
"""Least share of a class among all rows, so that none is impossible."""
_PIECE = 512


@dataclass(frozen=True, eq=False)
class Memory:
    """Rows that are remembered, no two alike, and what was answered for each.

    Attributes:
        scale: what columns are multiplied by before distances, (columns,).
        points: (rows, columns), scaled.
        answers: (rows, answers): how often each class was the answer, or the sum of the targets,
            and last the number of rows that each row stands for, or their weight.
        prior: (answers,): the same of a single row that is the mean of all.
    """

    scale: NDArray[np.float32]
    points: NDArray[np.float32]
    answers: NDArray[np.float32]
    prior: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        table: NDArray[np.float32],
        y: NDArray[Any],
        rows: NDArray[np.float64] | None,
        task: Task,
        scale: NDArray[np.float32],
    ) -> Memory:
        """Remember rows (rows, columns), their targets, and their weights where there are some."""
        mass = np.ones(len(table)) if rows is None else rows
        told = np.eye(task.width)[y] if task.is_classification else y[:, None]
        answers = np.hstack([told, np.ones((len(table), 1))]) * mass[:, None]
        points, place = np.unique(table * scale, axis=0, return_inverse=True)
        sums = np.zeros((len(points), answers.shape[1]))
        np.add.at(sums, place.reshape(-1), answers)
        prior = answers.sum(axis=0) / mass.sum()
        if task.is_classification:
            prior = np.maximum(prior, _RAREST)
        return cls(scale, points, sums.astype(np.float32), prior.astype(np.float32))

    @property
    def sizes(self) -> NDArray[np.float32]:
        """Squared sizes of the points, (rows,)."""
        return np.asarray((self.points.astype(np.float64) ** 2).sum(axis=1), np.float32)

    def nearest(
        self, table: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return squared distances (rows, count) of the nearest points, and which they are."""
        apart = np.empty((len(table), count), np.float32)
        which = np.empty((len(table), count), np.int64)
        for start in range(0, len(table), _PIECE):
            some = table[start : start + _PIECE] * self.scale
            squares = (some * some).sum(axis=1, keepdims=True)
            found = squares + (some @ (-2 * self.points.T) + self.sizes)
            near = np.argpartition(found, count - 1, axis=1)[:, :count]
            order = np.argsort(np.take_along_axis(found, near, axis=1), axis=1)
            chosen = np.take_along_axis(near, order, axis=1)
            which[start : start + _PIECE] = chosen
            apart[start : start + _PIECE] = np.take_along_axis(found, chosen, axis=1)
        return apart, which


@dataclass(frozen=True)
class NeighboursFitted(Fitted):
    """The mean of the answers of the nearest rows, nearer ones weighing more.

    A neighbour weighs 1 - d / D, with d its squared distance and D that of the first row left out
    (the kernel of Epanechnikov): so that nothing jumps where two are equally far, and one row,
    the mean of all, weighs ``smoothing``.

    Attributes:
        memory: the rows.
        count: neighbours.
        smoothing: weight of the mean of all.
    """

    front: Front
    task: Task
    memory: Memory
    count: int
    smoothing: float
    rows: int
    balance: bool = False

    def refit(self, rows: Dataset, context: Context) -> NeighboursFitted:
        given = _given(self.front, rows, self.task, self.rows, self.balance, context)
        return replace(self, memory=Memory.of(*given, self.task, self.memory.scale))

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        apart, which = self.memory.nearest(arrays[TABLE], self.count + 1)
        return answer(self.memory, apart, which, self.smoothing, self.task)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        memory, last = self.memory, graph.const([1], "int64")
        table = graph.op("Mul", values[TABLE], graph.const(memory.scale))
        squares = graph.op("ReduceSumSquare", table, last, keepdims=1)
        apart = graph.op(
            "Gemm", table, graph.const(-2 * memory.points.T), graph.const(memory.sizes)
        )
        apart = graph.op("Add", apart, squares)
        count = graph.const([self.count + 1], "int64")
        near, which = graph.ops("TopK", 2, apart, count, axis=1, largest=0, sorted=1)
        far = graph.op("Gather", near, graph.const([self.count], "int64"), axis=1)
        least = graph.const(_LEAST, "float32")
        shares = graph.op("Div", graph.op("Max", near, least), graph.op("Max", far, least))
        weights = graph.op("Sub", graph.const(1.0, "float32"), shares)
        told = graph.op("Gather", graph.const(memory.answers), which, axis=0)
        row = graph.op("Unsqueeze", weights, last)
        sums = graph.op("Squeeze", graph.op("MatMul", row, told), last)
        sums = graph.op("Add", sums, graph.const(memory.prior * np.float32(self.smoothing)))
        width = memory.answers.shape[1] - 1
        sizes = graph.const([width, 1], "int64")
        answers, mass = graph.ops("Split", 2, sums, sizes, axis=1)
        mean = graph.op("Div", answers, mass)
        return graph.op("Log", mean) if self.task.is_classification else mean

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        names = ("scale", "points", "answers", "prior")
        recipe = {"learner": "neighbours", "count": self.count, "smoothing": self.smoothing}
        return {
            "workshop/neighbours.safetensors": save({n: getattr(self.memory, n) for n in names}),
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


@dataclass(frozen=True)
class Neighbours(Learner):
    """Nearest neighbours by the distance of standardised columns, weighed by their distance.

    How many, and whether columns count by their relevance, is chosen on the validation rows.

    Attributes:
        rows: training rows remembered at the most.
        smoothing: weight of the mean of all rows, in rows at distance zero.
        relevance: whether to try a distance in which each column has a learned scale.
    """

    rows: Annotated[int, Choice(2000, 5000, 10_000)] = 5000
    smoothing: Annotated[float, Choice(0.1, 0.5, 2.0)] = 0.5
    relevance: Annotated[bool, Choice(False, True)] = False

    tasks: ClassVar[frozenset[str]] = ANSWERS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> NeighboursFitted:
        front = fit_front(train, style="dense", image=None, context=context)
        given = _given(front, train, task, self.rows, self.balance, context)
        table, y = given[0], given[1]
        watch, yv = front.run(valid, context)[TABLE], valid.targets(task)
        watched = row_weights(valid, task, balance=False)
        with few_threads(context), context.stage("neighbours", unit="distance") as stage:
            scales = [np.ones(table.shape[1], np.float32)]
            if self.relevance:
                scales.append(relevances(table, y, task, context))
            best: tuple[float, Memory, int] | None = None
            for scale in scales:
                if best is not None and context.seconds_left() <= 0:
                    break
                memory = Memory.of(*given, task, scale)
                most = min(max(COUNTS), len(memory.points) - 1)
                apart, which = memory.nearest(watch, most + 1)
                for count in sorted({min(count, most) for count in COUNTS}):
                    near = apart[:, : count + 1], which[:, : count + 1]
                    raw = answer(memory, *near, self.smoothing, task)
                    loss = linear_loss(raw, yv, task, watched)
                    if best is None or loss < best[0]:
                        best = loss, memory, count
                stage.advance(loss=best[0] if best else np.inf)
        assert best is not None  # noqa: S101
        return NeighboursFitted(
            front, task, *best[1:], self.smoothing, self.rows, balance=self.balance
        )


def answer(
    memory: Memory,
    apart: NDArray[np.float32],
    which: NDArray[np.int64],
    smoothing: float,
    task: Task,
) -> NDArray[np.float32]:
    """Return raw scores (rows, width) by the nearest points, the last of which is left out.

    ``apart`` and ``which`` are what :meth:`Memory.nearest` gives.
    """
    near = np.maximum(apart, np.float32(_LEAST))
    weights = 1 - near / near[:, -1:]
    sums = (weights[:, None] @ memory.answers[which])[:, 0] + memory.prior * np.float32(smoothing)
    mean = sums[:, :-1] / sums[:, -1:]
    return np.asarray(np.log(mean) if task.is_classification else mean, np.float32)


def _given(
    front: Front, rows: Dataset, task: Task, most: int, balance: bool, context: Context
) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.float64] | None]:
    """Return table, targets and row weights of the rows, or of some of them at random."""
    table, y = front.run(rows, context)[TABLE], rows.targets(task)
    known = row_weights(rows, task, balance=balance)
    if len(table) <= most:
        return table, y, known
    chosen = np.random.default_rng(context.seed).choice(len(table), most, replace=False)
    chosen = np.sort(chosen)
    return table[chosen], y[chosen], None if known is None else known[chosen]
