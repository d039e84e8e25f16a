"""The sum of a linear model and of trees over one table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lepta.models.front import Front
from lepta.models.front.front import TABLE
from lepta.models.graph import Graph
from lepta.models.hybrid.additive import Additive
from lepta.models.learner import Fitted
from lepta.models.trees.fitted import TreesFitted
from lepta.tasks import Task


@dataclass(frozen=True, eq=False)
class LinearAndTrees(Fitted):
    """A linear model and trees whose raw scores add up.

    Attributes:
        first: the linear model.
        then: the trees.
    """

    front: Front
    task: Task
    first: Additive
    then: TreesFitted

    name: ClassVar[str]
    """Of the learner."""

    @property
    def size(self) -> int:
        return self.then.size

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return self.first.raw(arrays[TABLE]) + self.then.raw(arrays)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        return graph.op("Add", self.first.emit(graph, values[TABLE]), self.then.emit(graph, values))

    def combine(self, others: Sequence[Fitted], weights: Sequence[float]) -> Self | None:
        models = [self, *(other for other in others if isinstance(other, type(self)))]
        if len(models) <= len(others) or any(m.front is not self.front for m in models):
            return None
        then = self.then.combine([model.then for model in models[1:]], weights)
        first = Additive.add([model.first for model in models], weights)
        return None if then is None else replace(self, first=first, then=then)

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        recipe = {"learner": self.name, "strength": self.first.strength, "then": "then"}
        then = self.then.workshop().items()
        return {
            **{f"workshop/then/{name.removeprefix('workshop/')}": data for name, data in then},
            "workshop/first.safetensors": save(self.first.tensors()),
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


def usual_rounds(trees: TreesFitted) -> tuple[int, ...]:
    """Return the usual number of rounds of trees that were grown together, for one more time."""
    counts = np.median([np.array(member.rounds) for member in trees.members], axis=0)
    return tuple(max(1, round(count)) for count in counts)
