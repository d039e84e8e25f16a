"""The weighted sum of several models' raw scores, as one model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.models.front import Front
from lepta.models.graph import Graph
from lepta.models.hybrid.joint import JointFront
from lepta.models.learner import Fitted
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

_RECIPE = "workshop/recipe.json"


@dataclass(frozen=True)
class Part:
    """One model of a sum.

    Attributes:
        fitted: the model.
        weight: of its raw scores.
        front: number of its preprocessing among those of the sum.
    """

    fitted: Fitted
    weight: float
    front: int


@dataclass(frozen=True)
class Blend(Fitted):
    """A sum of raw scores (rows, width): of logits, which is a geometric mean of probabilities.

    Models of one kind that read the same preprocessing are added up beforehand, where they can
    be (:meth:`~lepta.models.learner.Fitted.combine`): a hundred boosters are then one node.
    """

    front: Front
    task: Task
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, models: Sequence[Fitted], weights: Sequence[float]) -> Fitted:
        """Return the sum of ``models``, each times its weight; one model where it can be.

        Raises:
            ExportError: two of them read one input in different ways.
        """
        merged = _merged(models, weights)
        if len(merged) == 1 and merged[0][1] == 1.0:
            return merged[0][0]
        fronts: list[Front] = []
        for model, _ in merged:
            if not any(model.front is front for front in fronts):
                fronts.append(model.front)
        numbers = {id(front): number for number, front in enumerate(fronts)}
        parts = tuple(Part(m, weight, numbers[id(m.front)]) for m, weight in merged)
        front = fronts[0] if len(fronts) == 1 else JointFront.of(fronts)
        return cls(front, merged[0][0].task, parts)

    def raw(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        total = sum(
            part.weight * part.fitted.raw(self._given(arrays, part)).astype(np.float64)
            for part in self.parts
        )
        return np.asarray(total, np.float32)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        total = ""
        for part in self.parts:
            raw = part.fitted.emit(graph, self._given(values, part))
            if part.weight != 1.0:
                raw = graph.op("Mul", raw, graph.const(part.weight, "float32"))
            total = graph.op("Add", total, raw) if total else raw
        return total

    def refit(self, rows: Dataset, context: Context) -> Blend:
        parts = tuple(replace(p, fitted=p.fitted.refit(rows, context)) for p in self.parts)
        return replace(self, parts=parts)

    def workshop(self) -> dict[str, bytes]:
        """Return what each part is; its numbers stand in the graph, and are not kept twice."""
        parts = [
            {**_recipe_of(part.fitted), "weight": part.weight, "front": part.front}
            for part in self.parts
        ]
        document = {"learner": "blend", "parts": parts}
        return {_RECIPE: json.dumps(document).encode()}

    def _given(self, values: Mapping[str, Any], part: Part) -> Mapping[str, Any]:
        """Return the arrays, or the values' names, that a part reads."""
        if isinstance(self.front, JointFront):
            return self.front.part(values, part.front)
        return values


def _recipe_of(fitted: Fitted) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(fitted.workshop().get(_RECIPE, b"{}"))
    return held


def _merged(models: Sequence[Fitted], weights: Sequence[float]) -> list[tuple[Fitted, float]]:
    """Return models and weights, those of one kind and preprocessing added up."""
    groups: dict[tuple[type, int], list[int]] = {}
    for position, model in enumerate(models):
        groups.setdefault((type(model), id(model.front)), []).append(position)
    merged: list[tuple[Fitted, float]] = []
    for group in groups.values():
        first, *rest = (models[position] for position in group)
        factors = [weights[position] for position in group]
        whole = first.combine(rest, factors) if rest else None
        if whole is not None:
            merged.append((whole, 1.0))
        else:
            merged += [(models[position], weights[position]) for position in group]
    return merged
