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
from lepta.models.pieces import Pieces
from lepta.tasks import Task
from lepta.training.tables.lean import LeanOptions, LeanRows, train_members
from lepta.training.tables.members import Members
from lepta.training.tables.waves import Waves

if TYPE_CHECKING:
    from lepta.data import Dataset

Encoding = Pieces | Waves
ENCODINGS: dict[str, type[Pieces] | type[Waves]] = {"pieces": Pieces, "waves": Waves}


@dataclass(frozen=True)
class TabMFitted(Fitted):
    """Networks over the table and its pieces.

    Attributes:
        encoding: how numbers are encoded.
        body: the networks.
        options: how they were trained.
        epochs: how long.
    """

    front: Front
    task: Task
    encoding: Encoding
    body: Members
    options: LeanOptions
    epochs: int
    balance: bool = False

    def refit(self, rows: Dataset, context: Context) -> TabMFitted:
        if len(self.body.head) > 1:
            return self
        given = _lean(self.front, self.encoding, rows, self.task, self.balance, context)
        options = replace(self.options, epochs=self.epochs)
        body, _ = train_members(given, None, self.task, options, context)
        return replace(self, body=body)

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return self.body.raw(self.encoding.run(arrays[TABLE]))

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        return self.body.emit(graph, self.encoding.emit(graph, values[TABLE]))

    def combine(self, others: Sequence[Fitted], weights: Sequence[float]) -> TabMFitted | None:
        models = [self, *(m for m in others if isinstance(m, TabMFitted))]
        if len(models) <= len(others):
            return None
        if any(m.body.shape != self.body.shape or not self._reads_like(m) for m in models):
            return None
        return replace(self, body=Members.add([m.body for m in models], weights))

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
    """

    network: LeanOptions = field(default_factory=LeanOptions)
    encoding: Annotated[Literal["pieces", "waves"], Choice("pieces", "waves")] = "pieces"
    pieces: Annotated[int, Range(4, 48, log=True)] = 16

    tasks: ClassVar[frozenset[str]] = VECTORS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> TabMFitted:
        front = fit_front(train, style="dense", image=None, context=context)
        whole = front.run(whole_of(train, context), context)[TABLE]
        encoding = ENCODINGS[self.encoding].of(whole, self.pieces)
        seen = _lean(front, encoding, train, task, self.balance, context)
        watched = _lean(front, encoding, valid, task, False, context)
        body, epochs = train_members(seen, watched, task, self.network, context)
        return TabMFitted(front, task, encoding, body, self.network, epochs, self.balance)


def _lean(
    front: Front, encoding: Encoding, rows: Dataset, task: Task, balance: bool, context: Context
) -> LeanRows:
    weights = row_weights(rows, task, balance=balance)
    table = encoding.run(front.run(rows, context)[TABLE])
    return LeanRows(table, rows.targets(task), weights)
