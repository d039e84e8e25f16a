"""A linear model, and boosted trees for what it leaves.

Trees cannot go on beyond what they have seen: they are constant there. A linear model can, and it
tells with few numbers what takes trees many splits. So the linear model goes first, and trees are
boosted from its raw scores; for the rows that trees learn from, these are the scores of models
that did not see the row, for else there would be too little left.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.core.space import Choice, Range
from lepta.models.front import fit_front
from lepta.models.hybrid.additive import Additive, Given, basis_of, no_plain_field, table_rows
from lepta.models.hybrid.heldout import parts_of_rows, unseen_linear
from lepta.models.hybrid.sums import LinearAndTrees, usual_rounds
from lepta.models.learner import ANSWERS, Learner
from lepta.models.trees.fitted import Rows, TreesFitted
from lepta.models.trees.learner import Trees
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset


@dataclass(frozen=True, eq=False)
class ResidualFitted(LinearAndTrees):
    """The sum of a linear model and of trees that were boosted from its raw scores."""

    learner: Residual

    name: ClassVar[str] = "residual"

    def refit(self, rows: Dataset, context: Context) -> ResidualFitted:
        seen = table_rows(self.front, rows, self.task, context, balance=self.learner.balance)
        first = Additive.fit(self.first.basis, seen, self.task, self.first.strength)
        start = self.learner.unseen(first, seen, rows, self.task, context)
        given = rows_from(seen, start, self.task)
        limits = usual_rounds(self.then)
        grown = self.learner.trees.grow(self.front, self.task, given, None, limits, context)
        then = replace(self.then, members=(grown,), weights=(1.0,))
        return replace(self, first=first, then=then)


@dataclass(frozen=True)
class Residual(Learner):
    """A linear model or a sum of broken lines, then trees boosted from its raw scores.

    Attributes:
        first: what goes first: "linear", or "spline", whose lines bend.
        knots: places at which a line may bend.
        trees: how the trees are grown.
    """

    first: Annotated[Literal["linear", "spline"], Choice("linear", "spline")] = "linear"
    knots: Annotated[int, Range(2, 16, log=True)] = 6
    trees: Trees = field(default_factory=Trees)

    tasks: ClassVar[frozenset[str]] = ANSWERS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return no_plain_field(schema)

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> ResidualFitted:
        front = fit_front(train, style="codes", image=None, context=context)
        seen = table_rows(front, train, task, context, balance=self.balance)
        watched = table_rows(front, valid, task, context)
        basis = basis_of(front)
        if self.first == "spline":
            basis = basis.bend(seen[0], self.knots)
        first = Additive.choose(basis, seen, watched, task, context.share(3))
        start = self.unseen(first, seen, train, task, context)
        given = rows_from(seen, start, task)
        known = rows_from(watched, first.raw(watched[0]), task)
        grown = self.trees.grow(front, task, given, known, None, context)
        return ResidualFitted(front, task, first, TreesFitted(front, task, (grown,)), self)

    def unseen(
        self, first: Additive, seen: Given, data: Dataset, task: Task, context: Context
    ) -> NDArray[np.float32]:
        """Return the raw scores of training rows by models like ``first`` that did not see them."""
        x, y, weights = seen
        made, parts = first.basis.run(x), parts_of_rows(data, context.seed)
        return unseen_linear(made, y, weights, task, first.strength, parts)


def rows_from(given: Given, start: NDArray[np.float32], task: Task) -> Rows:
    """Return rows that trees are to be boosted on from raw scores ``start`` (rows, width)."""
    x, y, weights = given
    if not task.is_classification:
        return Rows(x, y - start[:, 0], weights)
    narrow = start[:, 1] - start[:, 0] if task.width == 2 else start
    return Rows(x, y, weights, narrow.astype(np.float64))
