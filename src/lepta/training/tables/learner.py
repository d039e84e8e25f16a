"""Learners of tables: networks that share weights, on numbers cut at quantiles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.core.space import Range
from lepta.models.front import Front, fit_front
from lepta.models.front.front import PLAIN, TABLE
from lepta.models.front.shared import whole_of
from lepta.models.graph import Graph
from lepta.models.learner import VECTORS, Fitted, Learner, row_weights
from lepta.tasks import Task
from lepta.training.tables.lean import LeanOptions, LeanRows, train_members
from lepta.training.tables.members import Members
from lepta.training.tables.pieces import Pieces

if TYPE_CHECKING:
    from lepta.data import Dataset


@dataclass(frozen=True)
class TabMFitted(Fitted):
    """Networks over the table and its pieces.

    Attributes:
        pieces: how numbers are encoded.
        body: the networks.
        options: how they were trained.
        epochs: how long.
    """

    front: Front
    task: Task
    pieces: Pieces
    body: Members
    options: LeanOptions
    epochs: int
    balance: bool = False

    def refit(self, rows: Dataset, context: Context) -> TabMFitted:
        if len(self.body.head) > 1:
            return self
        given = _lean(self.front, self.pieces, rows, self.task, self.balance, context)
        options = replace(self.options, epochs=self.epochs)
        body, _ = train_members(given, None, self.task, options, context)
        return replace(self, body=body)

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return self.body.raw(self.pieces.run(arrays[TABLE]))

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        return self.body.emit(graph, self.pieces.emit(graph, values[TABLE]))

    def combine(self, others: Sequence[Fitted], weights: Sequence[float]) -> TabMFitted | None:
        models = [self, *(m for m in others if isinstance(m, TabMFitted))]
        if len(models) <= len(others):
            return None
        first = self.pieces, self.body.shape
        if any(not m.pieces.same(first[0]) or m.body.shape != first[1] for m in models):
            return None
        return replace(self, body=Members.add([m.body for m in models], weights))

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        arrays = {**self.body.tensors(), **self.pieces.tensors()}
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
        pieces: into how many pieces a number is cut at the most; fewer where columns are many.
    """

    network: LeanOptions = field(default_factory=LeanOptions)
    pieces: Annotated[int, Range(4, 48, log=True)] = 16

    tasks: ClassVar[frozenset[str]] = VECTORS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> TabMFitted:
        front = fit_front(train, style="dense", image=None, context=context)
        whole = front.run(whole_of(train, context), context)[TABLE]
        pieces = Pieces.of(whole, self.pieces)
        seen = _lean(front, pieces, train, task, self.balance, context)
        watched = _lean(front, pieces, valid, task, False, context)
        body, epochs = train_members(seen, watched, task, self.network, context)
        return TabMFitted(front, task, pieces, body, self.network, epochs, self.balance)


def _lean(
    front: Front, pieces: Pieces, rows: Dataset, task: Task, balance: bool, context: Context
) -> LeanRows:
    weights = row_weights(rows, task, balance=balance)
    table = pieces.run(front.run(rows, context)[TABLE])
    return LeanRows(table, rows.targets(task), weights)
