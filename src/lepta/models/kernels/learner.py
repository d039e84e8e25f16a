"""Kernel ridge and kernel logistic regression on landmarks, beside a linear model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context, Stage
from lepta.core.schema import Schema
from lepta.core.space import Choice, Range
from lepta.models.front import Front, fit_front
from lepta.models.front.front import PLAIN, TABLE
from lepta.models.front.shared import whole_of
from lepta.models.graph import Graph
from lepta.models.kernels.landmarks import Landmarks, Likeness, Shape, median_distance, merge
from lepta.models.kernels.relevance import relevances
from lepta.models.learner import ANSWERS, VECTORS, Fitted, Learner, row_weights
from lepta.models.linear import linear_loss
from lepta.models.paths import Solution, best_solution, few_threads, solutions
from lepta.models.pieces import Pieces
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

PENALTIES = tuple(float(p) for p in np.geomspace(1.0, 1e-6, 13))
"""Penalties tried, in classification all but the strongest."""
_CLASSES = 3
"""How many of them are too strong for classes."""
WIDER, NARROWER = (1.0, 2.0, 4.0), (0.5, 0.25)
"""Lengths tried, in median distances of two landmarks: wider ones, then, if none was better,
narrower ones."""
_JITTER = 1e-3
_LARGE = 4_000_000
"""Features from which they are kept in float32."""

Weights = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
Rows = tuple[NDArray[np.float32], NDArray[Any], NDArray[np.float64] | None]


@dataclass(frozen=True)
class KernelFitted(Fitted):
    """Weights of the likeness to landmarks, and of the columns themselves.

    Attributes:
        pieces: what the table has beside it where rows are compared.
        likeness: what they are compared with.
        weights: (points, width).
        direct: (columns, width).
        bias: (width,).
        penalty: with which it was fitted.
    """

    front: Front
    task: Task
    pieces: Pieces
    likeness: Likeness
    weights: NDArray[np.float32]
    direct: NDArray[np.float32]
    bias: NDArray[np.float32]
    penalty: float
    balance: bool = False

    def refit(self, rows: Dataset, context: Context) -> Fitted:
        if len(self.likeness.groups) > 1:
            return self
        known = row_weights(rows, self.task, balance=self.balance)
        table = self.front.run(rows, context)[TABLE]
        features = Features(self.likeness, self.pieces)
        path = solutions(
            features.of(table), rows.targets(self.task), self.task, [self.penalty], known, context
        )
        with few_threads(context):
            weights, direct, bias = features.split(next(path))
        return replace(self, weights=weights, direct=direct, bias=bias)

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        table = arrays[TABLE]
        near = self.likeness.of(self.pieces.run(table))
        return near @ self.weights + (table @ self.direct + self.bias)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        near = self.likeness.emit(graph, self.pieces.emit(graph, values[TABLE]))
        direct = graph.op("Gemm", values[TABLE], graph.const(self.direct), graph.const(self.bias))
        return graph.op("Gemm", near, graph.const(self.weights), direct)

    def combine(self, others: Sequence[Fitted], weights: Sequence[float]) -> Fitted | None:
        models = [self, *(m for m in others if isinstance(m, KernelFitted))]
        shape = self.likeness.shape
        if len(models) <= len(others) or any(m.likeness.shape != shape for m in models):
            return None
        if any(not m.pieces.same(self.pieces) for m in models):
            return None
        parts: list[tuple[Landmarks, NDArray[np.float32]]] = []
        for model, share in zip(models, weights, strict=True):
            counts = np.cumsum([len(group.points) for group in model.likeness.groups])
            pieces = np.split(model.weights * np.float32(share), counts[:-1])
            parts += zip(model.likeness.groups, pieces, strict=True)
        merged = merge(parts)
        return replace(
            self,
            likeness=Likeness(shape, tuple(group for group, _ in merged)),
            weights=np.concatenate([sums for _, sums in merged]),
            direct=_sum([m.direct for m in models], weights),
            bias=_sum([m.bias for m in models], weights),
        )

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        arrays = {"weights": self.weights, "direct": self.direct, "bias": self.bias}
        arrays |= self.pieces.tensors()
        for number, group in enumerate(self.likeness.groups):
            arrays |= {f"points_{number}": group.points, f"scale_{number}": group.scale}
        recipe = {"learner": "kernel", "kernel": self.likeness.shape, "penalty": self.penalty}
        return {
            "workshop/kernel.safetensors": save(arrays),
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


@dataclass(frozen=True)
class Kernel(Learner):
    """A smooth function of all columns at once, for tables of few rows.

    Likeness to some training rows (Nystroem's method, Williams & Seeger 2001) and the columns
    themselves are the inputs of ridge or logistic regression, which so is the mean of a Gaussian
    process. Length and penalty are chosen on the validation rows.

    Attributes:
        kernel: "exponential" (rough functions) or "gauss" (smooth ones).
        landmarks: rows that others are compared with, at most.
        pieces: into how many pieces at quantiles numbers are cut, which are compared beside them:
            then less is lost where most values are near to each other; 0 for none.
        relevance: whether the scale of each column is learned too, and kept where the validation
            rows are better for it.
    """

    kernel: Annotated[Shape, Choice("exponential", "gauss")] = "exponential"
    landmarks: Annotated[int, Range(100, 1000, log=True)] = 400
    pieces: Annotated[int, Choice(0, 8, 16)] = 0
    relevance: Annotated[bool, Choice(False, True)] = False

    tasks: ClassVar[frozenset[str]] = VECTORS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> KernelFitted:
        front = fit_front(train, style="dense", image=None, context=context)
        seen = (
            front.run(train, context)[TABLE],
            train.targets(task),
            row_weights(train, task, balance=self.balance),
        )
        watched = (
            front.run(valid, context)[TABLE],
            valid.targets(task),
            row_weights(valid, task, balance=False),
        )
        pieces, points = self._points(front, train, context)
        with context.stage("kernel", unit="length") as stage, few_threads(context):
            search = _Search(seen, watched, task, context, stage, pieces)
            search.try_lengths(self.kernel, points, np.ones(seen[0].shape[1], np.float32))
            if self.relevance and task.name in ANSWERS and context.seconds_left() > 0:
                scale = relevances(seen[0], seen[1], task, context)
                search.try_lengths(self.kernel, points, scale)
        features, solution = search.best
        parts = features.split(solution)
        likeness = features.likeness
        return KernelFitted(front, task, pieces, likeness, *parts, solution.penalty, self.balance)

    def _points(
        self, front: Front, train: Dataset, context: Context
    ) -> tuple[Pieces, NDArray[np.float32]]:
        """Return cuts of numbers, and rows at random: the same in all folds of a search.

        So models of folds add up.
        """
        table = front.run(whole_of(train, context), context)[TABLE]
        rng = np.random.default_rng(context.seed)
        chosen = rng.choice(len(table), min(self.landmarks, len(table)), replace=False)
        pieces = Pieces.of(table, self.pieces)
        return pieces, pieces.run(np.unique(table[np.sort(chosen)], axis=0))


class Features:
    """What the linear model takes: likeness to landmarks, then the columns.

    Likeness is turned so that a penalty on its weights means a Gaussian process; the columns are
    scaled so that together they count as one.
    """

    def __init__(self, likeness: Likeness, pieces: Pieces) -> None:
        from scipy.linalg import cholesky

        (group,) = likeness.groups
        self.likeness, self.pieces = likeness, pieces
        self.columns = len(group.scale) - len(pieces.columns)
        between = likeness.of(group.points).astype(np.float64)
        between = (between + between.T) / 2 + _JITTER * np.eye(len(between))
        self.factor = cholesky(between, lower=True)
        self.share = 1 / np.sqrt(self.columns)

    def of(self, table: NDArray[np.float32]) -> NDArray[Any]:
        """Return (rows, points + columns)."""
        from scipy.linalg import solve_triangular

        near = self.likeness.of(self.pieces.run(table))
        kind = "float32" if near.size > _LARGE else "float64"
        turned = solve_triangular(self.factor.astype(kind), near.T.astype(kind), lower=True)
        return np.hstack([turned.T, (table * self.share).astype(kind)])

    def split(self, solution: Solution) -> Weights:
        """Return the weights of likeness and of columns as they are, and the bias."""
        from scipy.linalg import solve_triangular

        turned, direct = np.split(solution.weights, [-self.columns])
        weights = solve_triangular(self.factor, turned, lower=True, trans="T")
        near, own, bias = weights, direct * self.share, solution.bias
        return near.astype(np.float32), own.astype(np.float32), bias.astype(np.float32)


class _Search:
    """The best of all lengths and penalties that were tried."""

    def __init__(
        self,
        seen: Rows,
        watched: Rows,
        task: Task,
        context: Context,
        stage: Stage,
        pieces: Pieces,
    ) -> None:
        self.seen, self.watched, self.task = seen, watched, task
        self.context, self.stage, self.pieces = context, stage, pieces
        self.loss = np.inf
        self.penalties = PENALTIES[_CLASSES if task.is_classification else 0 :]

    def try_lengths(
        self, shape: Shape, points: NDArray[np.float32], scale: NDArray[np.float32]
    ) -> None:
        """Try wider lengths while they are better, and narrower ones where no wider one was.

        ``scale`` is that of the columns of the table (columns,).
        """
        scale = _with_pieces(scale, self.pieces)
        unit = scale / np.float32(median_distance(points * scale))
        losses: list[float] = []
        for times in self._lengths(losses):
            if self.loss < np.inf and self.context.seconds_left() <= 0:
                return
            losses.append(self._try(Likeness(shape, (Landmarks(points, unit / times),))))

    def _lengths(self, losses: list[float]) -> Iterator[np.float32]:
        for way in (WIDER, NARROWER):
            if way == NARROWER and len(losses) > 1 and min(losses) < losses[0]:
                return
            for times in way:
                yield np.float32(times)
                if len(losses) > 1 and losses[-1] > min(losses):
                    break

    def _try(self, likeness: Likeness) -> float:
        (x, y, known), (xv, yv, weights) = self.seen, self.watched
        features = Features(likeness, self.pieces)
        watch = features.of(xv)

        def judge(solution: Solution) -> float:
            return linear_loss(solution.raw(watch), yv, self.task, weights)

        path = solutions(features.of(x), y, self.task, self.penalties, known, self.context)
        loss, solution = best_solution(path, judge)
        self.stage.advance(loss=loss)
        if loss < self.loss:
            self.loss, self.best = loss, (features, solution)
        return loss


def _with_pieces(scale: NDArray[np.float32], pieces: Pieces) -> NDArray[np.float32]:
    """Return the scale of columns and pieces (columns + pieces,).

    Two rows are as far apart by all pieces of a column, on average, as by the column itself: for
    quantiles that is a third of the pieces, and for standardised numbers two.
    """
    counts = np.bincount(pieces.columns, minlength=len(scale))
    own = scale[pieces.columns] * np.sqrt(6 / counts[pieces.columns])
    return np.concatenate([scale, own]).astype(np.float32)


def _sum(arrays: Sequence[NDArray[np.float32]], weights: Sequence[float]) -> NDArray[np.float32]:
    total = sum(array * float(share) for array, share in zip(arrays, weights, strict=True))
    return np.asarray(total, np.float32)
