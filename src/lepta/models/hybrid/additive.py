"""A sum of broken lines: what trees start from, and a learner by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.core.space import Range
from lepta.models.front import Front, fit_front
from lepta.models.front.front import PLAIN, TABLE
from lepta.models.graph import Graph
from lepta.models.hybrid.basis import Basis
from lepta.models.learner import VECTORS, Fitted, Learner, row_weights
from lepta.models.linear import choose_strength, fit_weights
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

Given = tuple[NDArray[np.float32], NDArray[Any], NDArray[np.float64] | None]
"""Prepared table (rows, columns), targets, row weights or None."""


@dataclass(frozen=True, eq=False)
class Additive:
    """Weights (basis, width) and bias (width,) over a basis of the table.

    Attributes:
        basis: what is made of the table.
        weights, bias: of the raw scores.
        strength: inverse strength of regularisation that they were fitted with.
    """

    basis: Basis
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float

    @classmethod
    def fit(cls, basis: Basis, train: Given, task: Task, strength: float) -> Additive:
        """Fit the weights on the rows of a table."""
        x, y, known = train
        weights, bias = fit_weights(basis.run(x), y, task, strength, known)
        return cls(basis, weights, bias, strength)

    @classmethod
    def choose(
        cls, basis: Basis, train: Given, valid: Given, task: Task, context: Context
    ) -> Additive:
        """Fit them, with the strength of regularisation that suits the validation rows best."""
        (x, y, known), (xv, yv, watched) = train, valid
        given = (basis.run(x), y, known), (basis.run(xv), yv, watched)
        strength = choose_strength(*given, task, context)
        weights, bias = fit_weights(given[0][0], y, task, strength, known)
        return cls(basis, weights, bias, strength)

    def raw(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the raw scores (rows, width) of a table (rows, columns)."""
        return np.asarray(self.basis.run(x) @ self.weights + self.bias, np.float32)

    def emit(self, graph: Graph, matrix: str) -> str:
        """Add the nodes; return the name of the raw scores."""
        made = self.basis.emit(graph, matrix)
        return graph.op("Gemm", made, graph.const(self.weights), graph.const(self.bias))

    @classmethod
    def add(cls, parts: Sequence[Additive], weights: Sequence[float]) -> Additive:
        """Return the weighted sum of several over the same table, their hinges side by side."""
        first = parts[0]
        begin, end = first.basis.straight, first.basis.straight + len(first.basis.bent)
        straight = sum(w * p.weights[:begin] for p, w in zip(parts, weights, strict=True))
        hinges, chosen = [], np.zeros_like(first.weights[end:])
        for part, weight in zip(parts, weights, strict=True):
            last = begin + len(part.basis.bent)
            hinges.append(weight * part.weights[begin:last])
            chosen += np.float32(weight) * part.weights[last:]
        bias = sum(w * p.bias for p, w in zip(parts, weights, strict=True))
        return cls(
            basis=Basis.join([part.basis for part in parts]),
            weights=np.concatenate([straight, *hinges, chosen]).astype(np.float32),
            bias=np.asarray(bias, np.float32),
            strength=first.strength,
        )

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return weights, bias and hinges by name."""
        basis = self.basis
        return {
            "weights": self.weights,
            "bias": self.bias,
            "bent": basis.bent,
            "knots": basis.knots,
        }


@dataclass(frozen=True, eq=False)
class SplineFitted(Fitted):
    """Broken lines, one a column, that add up."""

    front: Front
    task: Task
    body: Additive
    balance: bool = False

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return self.body.raw(arrays[TABLE])

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        return self.body.emit(graph, values[TABLE])

    def combine(self, others: Sequence[Fitted], weights: Sequence[float]) -> SplineFitted | None:
        models = [self, *(other for other in others if isinstance(other, SplineFitted))]
        if len(models) <= len(others) or any(m.front is not self.front for m in models):
            return None
        return replace(self, body=Additive.add([model.body for model in models], weights))

    def refit(self, rows: Dataset, context: Context) -> SplineFitted:
        given = table_rows(self.front, rows, self.task, context, balance=self.balance)
        return replace(
            self, body=Additive.fit(self.body.basis, given, self.task, self.body.strength)
        )

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        recipe = {"learner": "spline", "strength": self.body.strength}
        return {
            "workshop/spline.safetensors": save(self.body.tensors()),
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


@dataclass(frozen=True)
class Spline(Learner):
    """A generalised additive model: a linear model on numbers that may bend at some places.

    Attributes:
        knots: places, at quantiles, at which the line of a number may bend.
    """

    knots: Annotated[int, Range(2, 16, log=True)] = 6

    tasks: ClassVar[frozenset[str]] = VECTORS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return no_plain_field(schema)

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> SplineFitted:
        front = fit_front(train, style="codes", image=None, context=context)
        seen = table_rows(front, train, task, context, balance=self.balance)
        watched = table_rows(front, valid, task, context)
        basis = basis_of(front).bend(seen[0], self.knots)
        body = Additive.choose(basis, seen, watched, task, context)
        return SplineFitted(front, task, body, self.balance)


def no_plain_field(schema: Schema) -> str:
    """Return why a learner of tables cannot take this data, or an empty string."""
    return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"


def basis_of(front: Front) -> Basis:
    """Return the basis, with no hinges, of the table of a preprocessing that has one."""
    assert front.table is not None  # noqa: S101
    return Basis.of(front.table)


def table_rows(
    front: Front, data: Dataset, task: Task, context: Context, *, balance: bool = False
) -> Given:
    """Return the prepared table, the targets and the row weights of a dataset."""
    weights = row_weights(data, task, balance=balance)
    return front.run(data, context)[TABLE], data.targets(task), weights
