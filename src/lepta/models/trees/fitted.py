"""What all tree learners have in common: the table they read, the model they give."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context, Stage
from lepta.core.schema import Schema
from lepta.models.front import Front, fit_front
from lepta.models.front.front import PLAIN, TABLE
from lepta.models.graph import Graph
from lepta.models.learner import ANSWERS, Fitted, Learner, row_weights
from lepta.models.trees.ensemble import Ensemble
from lepta.models.trees.total import TreeSum
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

_WIDE = np.array([[-0.5, 0.5]])
"""From the one score of trees that tell two classes apart to their two logits."""


_LEAF = 45
"""Bytes of a leaf and a node in a graph."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What trees are grown on.

    Attributes:
        x: the prepared table (rows, columns).
        y: targets, rows first.
        weights: of the rows, or None.
        start: raw scores of the library to boost from, rows first; None for a constant.
    """

    x: NDArray[np.float32]
    y: NDArray[Any]
    weights: NDArray[np.float64] | None
    start: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Grown(ABC):
    """The trees of one training run, as the library that grew them knows them.

    Its scores are raw scores; two classes have one, of which half is the second's logit.

    Attributes:
        learner: how they were grown.
        columns: of the table.
    """

    learner: TreeLearner
    columns: int

    @property
    @abstractmethod
    def rounds(self) -> tuple[float, ...]:
        """What the validation rows chose: rounds of each model within, or a forest's numbers."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Leaves of all trees that add something, as the library counts them, at no great cost."""

    @abstractmethod
    def raw(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the library's own scores of a prepared table, (rows, targets)."""

    @abstractmethod
    def total(self) -> TreeSum:
        """Return the same as arrays."""

    @cached_property
    def summed(self) -> TreeSum:
        """The same as arrays, which large models are slow to give."""
        return self.total()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "summed"}

    @abstractmethod
    def files(self) -> dict[str, bytes]:
        """Return the library's own form of the model, by file name, no pickle."""

    @abstractmethod
    def recipe(self) -> dict[str, Any]:
        """Return what the files do not tell, for JSON."""


@dataclass(frozen=True, eq=False)
class Flat(Grown):
    """One score for every row: the training rows have one answer.

    Attributes:
        score: raw scores, (targets,).
    """

    score: NDArray[np.float64]

    @classmethod
    def of(cls, learner: TreeLearner, task: Task, rows: Rows) -> Flat | None:
        """Return the scores of rows that have one answer, else None."""
        if task.name not in ANSWERS or rows.start is not None or (rows.y != rows.y[0]).any():
            return None
        columns = rows.x.shape[1]
        if not task.is_classification:
            return cls(learner, columns, rows.y[:1].astype(np.float64))
        counts = np.bincount(rows.y, minlength=task.width) + 0.5
        logs = np.log(counts / counts.sum())
        return cls(learner, columns, logs[1:] - logs[:1] if task.width == 2 else logs)

    @property
    def rounds(self) -> tuple[float, ...]:
        return ()

    def raw(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.tile(self.score, (len(x), 1))

    def total(self) -> TreeSum:
        return TreeSum(Ensemble.constant(0.0), self.score, self.columns)

    @property
    def size(self) -> int:
        return 1

    def files(self) -> dict[str, bytes]:
        return {}

    def recipe(self) -> dict[str, Any]:
        return {"learner": self.learner.label, "score": self.score.tolist()}


@dataclass(frozen=True, eq=False)
class TreesFitted(Fitted):
    """A weighted sum of trees that were grown together or apart, by one library or several."""

    front: Front
    task: Task
    members: tuple[Grown, ...]
    weights: tuple[float, ...] = (1.0,)

    @property
    def size(self) -> int:
        return _LEAF * sum(member.size for member in self.members)

    @property
    def _two_classes(self) -> bool:
        return self.task.is_classification and self.task.width == 2

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        parts = zip(self.members, self.weights, strict=True)
        total = sum(weight * member.raw(arrays[TABLE]) for member, weight in parts)
        return np.asarray(total @ _WIDE if self._two_classes else total, np.float32)

    def total(self) -> TreeSum:
        """Return all trees, weighted, as arrays."""
        parts = zip(self.members, self.weights, strict=True)
        return TreeSum.add([member.summed.scaled(weight) for member, weight in parts])

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        total = self.total()
        scores, bias = total.emit(graph, values[TABLE]), total.bias
        if self._two_classes:
            wide, shift = graph.const(_WIDE, "float32"), graph.const((bias @ _WIDE), "float32")
            return graph.op("Gemm", scores, wide, shift)
        return graph.op("Add", scores, graph.const(bias, "float32")) if bias.any() else scores

    def combine(self, others: Sequence[Fitted], weights: Sequence[float]) -> TreesFitted | None:
        models = [self, *(other for other in others if isinstance(other, TreesFitted))]
        alike = all(other.front is self.front for other in models)
        if len(models) <= len(others) or not alike:
            return None
        pairs = [
            (member, own * weight)
            for model, weight in zip(models, weights, strict=True)
            for member, own in zip(model.members, model.weights, strict=True)
            if weight != 0.0
        ] or [(self.members[0], 0.0)]
        members, shares = zip(*pairs, strict=True)
        return replace(self, members=members, weights=shares)

    def refit(self, rows: Dataset, context: Context) -> TreesFitted:
        """Grow one model for each way in which the members were grown, with their usual rounds."""
        known: dict[TreeLearner, list[int]] = {}
        for number, member in enumerate(self.members):
            known.setdefault(member.learner, []).append(number)
        members, weights = [], []
        for position, (learner, numbers) in enumerate(known.items()):
            chosen = [self.members[n].rounds for n in numbers if self.members[n].rounds]
            rounds = tuple(np.median(chosen, axis=0).tolist()) if chosen else None
            data = learner.prepared(self.front, rows, self.task, context)
            share = context.share(len(known) - position)
            members.append(learner.grow(self.front, self.task, data, None, rounds, share))
            weights.append(sum(self.weights[n] for n in numbers))
        return replace(self, members=tuple(members), weights=tuple(weights))

    def workshop(self) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        recipes = []
        for number, (member, weight) in enumerate(zip(self.members, self.weights, strict=True)):
            folder = f"workshop/{number}/" if len(self.members) > 1 else "workshop/"
            files |= {folder + name: data for name, data in member.files().items()}
            recipes.append(member.recipe() | {"weight": weight})
        recipe = recipes[0] if len(recipes) == 1 else {"learner": "trees", "members": recipes}
        return files | {"workshop/recipe.json": json.dumps(recipe).encode()}


@dataclass(frozen=True)
class TreeLearner(Learner):
    """A learner that grows trees on the plain fields, categories as codes."""

    label: ClassVar[str]
    """The learner's name: of its stage of progress, and in recipes."""

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> TreesFitted:
        front = fit_front(train, style="codes", image=None, context=context)
        rows = self.prepared(front, train, task, context)
        watched = self.prepared(front, valid, task, context, balance=False)
        return TreesFitted(front, task, (self.grow(front, task, rows, watched, None, context),))

    def prepared(
        self, front: Front, data: Dataset, task: Task, context: Context, *, balance: bool = True
    ) -> Rows:
        """Return the prepared rows of a dataset."""
        balanced = balance and self.balance and task.name in ANSWERS
        weights = row_weights(data, task, balance=balanced)
        return Rows(front.run(data, context)[TABLE], data.targets(task), weights)

    def grow(
        self,
        front: Front,
        task: Task,
        train: Rows,
        valid: Rows | None,
        rounds: tuple[float, ...] | None,
        context: Context,
    ) -> Grown:
        """Grow trees; see :meth:`learn`."""
        flat = Flat.of(self, task, train)
        return flat or self.learn(front, task, train, valid, rounds, context)

    @abstractmethod
    def learn(
        self,
        front: Front,
        task: Task,
        train: Rows,
        valid: Rows | None,
        rounds: tuple[float, ...] | None,
        context: Context,
    ) -> Grown:
        """Grow trees on rows that have more than one answer.

        Args:
            front: the preprocessing that made the rows.
            task: what is learned.
            train: rows to learn from.
            valid: rows that tell when to stop; None for exactly ``rounds``.
            rounds: what :attr:`Grown.rounds` told; None for what the options say.
            context: seed, threads, deadline, progress.
        """


def advance(stage: Stage, losses: Mapping[str, Sequence[float]]) -> None:
    """Say that a round is done, and the last of the validation losses so far, if there are any."""
    figures = [float(values[-1]) for values in losses.values()]
    stage.advance(1, **({"loss": figures[0]} if figures else {}))
