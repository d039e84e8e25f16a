"""Learners of tables: networks that share weights, on numbers encoded by pieces or waves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.core.space import Choice, Range
from lepta.models.front import Front, fit_front
from lepta.models.front.front import PLAIN, TABLE
from lepta.models.front.shared import whole_of
from lepta.models.graph import Graph
from lepta.models.learner import VECTORS, Fitted, Learner, row_weights
from lepta.models.linear import linear_loss
from lepta.models.paths import best_solution, few_threads, solutions
from lepta.models.pieces import Pieces
from lepta.tasks import Task
from lepta.training.tables.lean import LeanOptions, LeanRows, train_members
from lepta.training.tables.members import Members
from lepta.training.tables.waves import Waves

if TYPE_CHECKING:
    from lepta.data import Dataset

Encoding = Pieces | Waves
ENCODINGS: dict[str, type[Pieces] | type[Waves]] = {"pieces": Pieces, "waves": Waves}


PENALTIES = tuple(float(p) for p in np.geomspace(1.0, 1e-4, 9))
"""Penalties tried for the linear model that networks add to."""


@dataclass(frozen=True, eq=False)
class Line:
    """A linear model of the table: weights (columns, width), bias (width,), and its penalty."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    penalty: float

    def raw(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return raw scores (rows, width) of a table (rows, columns)."""
        return np.asarray(table @ self.weights + self.bias, np.float32)


@dataclass(frozen=True)
class TabMFitted(Fitted):
    """Networks over the table and its pieces.

    Attributes:
        encoding: how numbers are encoded.
        body: the networks.
        line: the linear model that they add to, or None.
        options: how they were trained.
        epochs: how long.
    """

    front: Front
    task: Task
    encoding: Encoding
    body: Members
    line: Line | None
    options: LeanOptions
    epochs: int
    balance: bool = False

    def refit(self, rows: Dataset, context: Context) -> TabMFitted:
        if len(self.body.head) > 1:
            return self
        options, line = replace(self.options, epochs=self.epochs), None
        given = _lean(self.front, self.encoding, rows, self.task, self.balance, context)
        if self.line is not None:
            table = self.front.run(rows, context)[TABLE]
            line = _fit_line((table, given), None, self.task, (self.line.penalty,), context)
            given = replace(given, start=line.raw(table))
        body, _ = train_members(given, None, self.task, options, context)
        return replace(self, body=body, line=line)

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        raw = self.body.raw(self.encoding.run(arrays[TABLE]))
        return raw if self.line is None else raw + self.line.raw(arrays[TABLE])

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        raw = self.body.emit(graph, self.encoding.emit(graph, values[TABLE]))
        if self.line is None:
            return raw
        direct = graph.const(self.line.weights), graph.const(self.line.bias)
        return graph.op("Add", raw, graph.op("Gemm", values[TABLE], *direct))

    def combine(self, others: Sequence[Fitted], weights: Sequence[float]) -> TabMFitted | None:
        models = [self, *(m for m in others if isinstance(m, TabMFitted))]
        if len(models) <= len(others):
            return None
        if any(m.body.shape != self.body.shape or not self._reads_like(m) for m in models):
            return None
        pairs = [(m.line, w) for m, w in zip(models, weights, strict=True) if m.line is not None]
        line = None
        if pairs:
            total = sum(one.weights * np.float32(share) for one, share in pairs)
            bias = sum(one.bias * np.float32(share) for one, share in pairs)
            line = Line(np.asarray(total), np.asarray(bias), pairs[0][0].penalty)
        body = Members.add([m.body for m in models], weights)
        return replace(self, body=body, line=line)

    def _reads_like(self, other: TabMFitted) -> bool:
        if type(other.encoding) is not type(self.encoding):
            return False
        pairs = zip(
            self.encoding.tensors().values(), other.encoding.tensors().values(), strict=True
        )
        return all(np.array_equal(one, two) for one, two in pairs)

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        arrays = {**self.body.tensors(), **self.encoding.tensors()}
        if self.line is not None:
            arrays |= {"line_weights": self.line.weights, "line_bias": self.line.bias}
        recipe = {"learner": "tabm", "epochs": self.epochs}
        return {
            "workshop/tabm.safetensors": save(arrays),
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


@dataclass(frozen=True)
class TabM(Learner):
    """Several small networks that share weights, for tables (TabM, Gorishniy et al. 2025).

    Attributes:
        network: how they are made and trained.
        encoding: whether numbers are cut into pieces at quantiles, or have waves beside them.
        pieces: how many pieces or waves of a number, at the most; fewer where columns are many.
        linear: whether they add to a linear model, fitted before; None does where the target is a
            number, for lines go on where networks do not.
    """

    network: LeanOptions = field(default_factory=LeanOptions)
    encoding: Annotated[Literal["pieces", "waves"], Choice("pieces", "waves")] = "pieces"
    pieces: Annotated[int, Range(4, 48, log=True)] = 16
    linear: Annotated[bool | None, Choice(False, True)] = None

    tasks: ClassVar[frozenset[str]] = VECTORS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> TabMFitted:
        front = fit_front(train, style="dense", image=None, context=context)
        whole = front.run(whole_of(train, context), context)[TABLE]
        encoding = ENCODINGS[self.encoding].of(whole, self.pieces)
        seen = _lean(front, encoding, train, task, self.balance, context)
        watched = _lean(front, encoding, valid, task, False, context)
        line = None
        if task.name == "regression" if self.linear is None else self.linear:
            tables = [front.run(rows, context)[TABLE] for rows in (train, valid)]
            pairs = (tables[0], seen), (tables[1], watched)
            line = _fit_line(*pairs, task, PENALTIES, context)
            seen, watched = (replace(rows, start=line.raw(table)) for table, rows in pairs)
        body, epochs = train_members(seen, watched, task, self.network, context)
        return TabMFitted(
            front, task, encoding, body, line, self.network, epochs, balance=self.balance
        )


def _fit_line(
    train: tuple[NDArray[np.float32], LeanRows],
    valid: tuple[NDArray[np.float32], LeanRows] | None,
    task: Task,
    penalties: Sequence[float],
    context: Context,
) -> Line:
    """Fit a linear model of a table; of several penalties the best on ``valid``."""
    (table, rows) = train
    with few_threads(context):
        path = solutions(table, rows.y, task, penalties, rows.weights, context)
        if valid is None:
            found = next(path)
        else:
            watch, seen = valid
            _, found = best_solution(
                path, lambda one: linear_loss(one.raw(watch), seen.y, task, seen.weights)
            )
    return Line(found.weights.astype(np.float32), found.bias.astype(np.float32), found.penalty)


def _lean(
    front: Front, encoding: Encoding, rows: Dataset, task: Task, balance: bool, context: Context
) -> LeanRows:
    weights = row_weights(rows, task, balance=balance)
    table = encoding.run(front.run(rows, context)[TABLE])
    return LeanRows(table, rows.targets(task), weights)
