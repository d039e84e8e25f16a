"""Leaves of boosted trees as inputs of a linear model.

A leaf of a tree is a conjunction of a few conditions, which boosting finds one after the other. A
linear model of all leaves at once, and of the columns as broken lines, weighs them anew (He et
al., "Practical Lessons from Predicting Clicks on Ads at Facebook", 2014). Its weights are new
values of the leaves, so that in the graph it is again trees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.core.space import Range
from lepta.models.front import Front, fit_front
from lepta.models.front.front import TABLE
from lepta.models.hybrid.additive import Additive, Given, basis_of, no_plain_field, table_rows
from lepta.models.hybrid.basis import Basis
from lepta.models.hybrid.sums import LinearAndTrees, usual_rounds
from lepta.models.learner import ANSWERS, Learner
from lepta.models.linear import fit_weights, linear_loss
from lepta.models.trees.fitted import Grown, Rows, TreesFitted
from lepta.models.trees.learner import Boosted, Trees
from lepta.models.trees.total import TreeSum
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
"""Inverse regularisation strengths; of these, neighbours are tried while they get better."""
_LIKELIEST = 3
MOST_CLASSES = 10
"""Classes at the most: a leaf has a weight for each, and each has trees of its own."""
_WORK = 8e6
"""Leaves that all rows reach, times classes: so many are weighed anew in seconds."""


@dataclass(frozen=True, eq=False)
class Leaves:
    """Which leaves of boosted trees a row reaches.

    Attributes:
        boosted: the trees, of one booster.
        first: number of the first leaf of each tree, counted through all trees, (trees,).
        single: which trees have one leaf; as arrays they have two, of the same value.
        count: how many leaves there are.
    """

    boosted: Boosted
    first: NDArray[np.int64]
    single: NDArray[np.bool_]
    count: int

    @classmethod
    def of(cls, grown: Grown) -> Leaves:
        """Number the leaves of boosted trees."""
        assert isinstance(grown, Boosted)  # noqa: S101
        text = grown.boosters[0].model.model_to_string()
        found = np.array([int(b.split("\n", 1)[0]) for b in text.split("\nnum_leaves=")[1:]])
        counts = np.maximum(found, 2)
        return cls(grown, np.cumsum(counts) - counts, found == 1, int(counts.sum()))

    def reached(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the numbers of the leaves of each row of a table, (rows, trees)."""
        own = self.boosted.boosters[0].model.predict(x, pred_leaf=True)
        return np.asarray(own, np.int64).reshape(len(x), -1) + self.first

    def indicators(self, x: NDArray[np.float32]) -> Any:
        """Return a sparse matrix (rows, leaves): 1 where a row reaches a leaf, else 0."""
        from scipy.sparse import csr_matrix

        leaves = self.reached(x)
        rows = np.repeat(np.arange(len(x)), leaves.shape[1])
        ones = np.ones(leaves.size, np.float32)
        return csr_matrix((ones, (rows, leaves.ravel())), shape=(len(x), self.count))


@dataclass(frozen=True, eq=False)
class Revalued(Grown):
    """Boosted trees with other values in their leaves.

    Attributes:
        leaves: the trees.
        values: raw scores of each leaf, (leaves, targets).
    """

    leaves: Leaves
    values: NDArray[np.float32]

    @property
    def rounds(self) -> tuple[int, ...]:
        return self.leaves.boosted.rounds

    def raw(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(self.values.astype(np.float64)[self.leaves.reached(x)].sum(axis=1))

    def total(self) -> TreeSum:
        (booster,) = self.leaves.boosted.boosters
        trees, targets = booster.trees(), self.values.shape[1]
        values, bias = self.values.astype(np.float64), np.zeros(targets)
        if targets == 1:
            only = np.zeros(len(values), np.int64)
            trees = replace(trees, values=values[:, 0], targets=only)
            return TreeSum(trees, bias, self.columns)
        numbers = np.arange(len(values))
        tree = np.searchsorted(self.leaves.first, numbers, side="right") - 1
        trees = replace(trees, values=numbers.astype(np.float64), targets=targets + tree)
        return TreeSum(trees, bias, self.columns, vectors=values)

    @property
    def size(self) -> int:
        return len(self.values)

    def files(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        return {**self.leaves.boosted.files(), "leaves.safetensors": save({"values": self.values})}

    def recipe(self) -> dict[str, Any]:
        return self.leaves.boosted.recipe()


@dataclass(frozen=True, eq=False)
class LeafLinearFitted(LinearAndTrees):
    """A linear model of the columns of a table and of the leaves that a row reaches."""

    learner: LeafLinear

    name: ClassVar[str] = "leaf-linear"

    def refit(self, rows: Dataset, context: Context) -> LeafLinearFitted:
        seen = table_rows(self.front, rows, self.task, context, balance=self.learner.balance)
        limits, trees = usual_rounds(self.then), self.learner.trees
        grown = trees.learn(self.front, self.task, Rows(*seen), None, limits, context)
        joint = _Joint(self.first.basis, Leaves.of(grown), self.task)
        weights = joint.fit(seen, self.first.strength)
        return joint.model(self.front, self.learner, *weights, self.first.strength)


@dataclass(frozen=True)
class LeafLinear(Learner):
    """Trees, quickly grown, then a linear model of their leaves and of the columns.

    Attributes:
        knots: places at which the line of a number may bend.
        trees: how the trees are grown.
    """

    knots: Annotated[int, Range(2, 16, log=True)] = 6
    trees: Trees = field(default_factory=lambda: Trees(rounds=400, learning_rate=0.1))

    tasks: ClassVar[frozenset[str]] = ANSWERS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        if task.is_classification and task.width > MOST_CLASSES:
            return f"it is for {MOST_CLASSES} classes at the most"
        return no_plain_field(schema)

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> LeafLinearFitted:
        front = fit_front(train, style="codes", image=None, context=context)
        seen = table_rows(front, train, task, context, balance=self.balance)
        watched = table_rows(front, valid, task, context)
        width = task.width if task.is_classification and task.width > 2 else 1
        most = max(10, int(_WORK / (len(seen[1]) * width**2)))
        trees = replace(self.trees, rounds=min(self.trees.rounds, most))
        grown = trees.grow(front, task, Rows(*seen), Rows(*watched), None, context.share(2))
        basis = basis_of(front).bend(seen[0], self.knots)
        joint = _Joint(basis, Leaves.of(grown), task)
        tried: dict[int, tuple[float, LeafLinearFitted]] = {}
        with context.stage("leaves", unit="strength") as stage:
            number: int | None = _LIKELIEST
            while number is not None:
                strength = STRENGTHS[number]
                model = joint.model(front, self, *joint.fit(seen, strength), strength)
                loss = linear_loss(model.raw({TABLE: watched[0]}), watched[1], task, watched[2])
                tried[number] = loss, model
                stage.advance(loss=loss)
                number = _next(tried) if context.seconds_left() > 0 else None
        return tried[_best(tried)][1]


def _best(tried: Mapping[int, tuple[float, Any]]) -> int:
    return min(tried, key=lambda number: tried[number][0])


def _next(tried: Mapping[int, tuple[float, Any]]) -> int | None:
    """Return a neighbour of the best strength that was not tried, or None."""
    best = _best(tried)
    near = (best - 1, best + 1)
    return next((n for n in near if n not in tried and 0 <= n < len(STRENGTHS)), None)


@dataclass(frozen=True, eq=False)
class _Joint:
    """A linear model of columns and leaves together."""

    basis: Basis
    leaves: Leaves
    task: Task

    def fit(self, rows: Given, strength: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights (basis and leaves, width) and bias (width,)."""
        from scipy.sparse import csr_matrix, hstack

        x, y, known = rows
        columns = csr_matrix(self.basis.run(x))
        joined = hstack([columns, self.leaves.indicators(x)], format="csr")
        return fit_weights(joined, y, self.task, strength, known)

    def model(
        self,
        front: Front,
        learner: LeafLinear,
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
        strength: float,
    ) -> LeafLinearFitted:
        """Return the model of such weights."""
        own, values = weights[: self.basis.width], weights[self.basis.width :]
        if self.task.is_classification and self.task.width == 2:
            values = values[:, 1:] - values[:, :1]
        single = self.leaves.first[self.leaves.single]
        values[single + 1] = values[single]
        first = Additive(self.basis, own, bias, strength)
        leaves = Revalued(learner.trees, self.leaves.boosted.columns, self.leaves, values)
        return LeafLinearFitted(
            front, self.task, first, TreesFitted(front, self.task, (leaves,)), learner
        )
