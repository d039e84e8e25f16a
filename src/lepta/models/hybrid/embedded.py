"""Features of pretrained networks, a linear model of them, and trees for what it leaves.

A linear model is at its best on hundreds of features of an image or a text, trees on the few
columns of a table and where these and the text must be seen together. So the linear model goes
first, and trees read the table and the main directions of the features. As the networks are
frozen and the linear scores of training rows come from models that did not see them, nothing that
trees learn from has seen a row's answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context
from lepta.core.schema import Kind, Schema
from lepta.core.space import Range
from lepta.models.front import Front, ImageOptions, fit_front
from lepta.models.front.encoded import EncodedTextFront
from lepta.models.front.front import TABLE
from lepta.models.graph import Graph
from lepta.models.hybrid.additive import Given, basis_of
from lepta.models.hybrid.basis import Basis
from lepta.models.hybrid.heldout import parts_of_rows, unseen_linear
from lepta.models.hybrid.residual import rows_from
from lepta.models.hybrid.sums import usual_rounds
from lepta.models.learner import ANSWERS, Fitted, Learner, row_weights
from lepta.models.linear import fit_weights, linear_loss
from lepta.models.pretrained import get_backbone
from lepta.models.trees.fitted import TreesFitted
from lepta.models.trees.learner import Trees
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

STRENGTHS = (0.001, 0.01, 0.0003, 0.003, 0.03, 0.1)
"""Inverse regularisation strengths of the linear model tried, the likeliest first."""
_LEAST = 1e-5
"""Spread of a feature that is no spread."""


@dataclass(frozen=True, eq=False)
class View:
    """What is read of the prepared arrays.

    Attributes:
        features: names of the arrays of features, (rows, features) each, and of the one that says
            which fields a row has.
        basis: what the linear model reads of the table; None without a table.
        center, scale: of the features and the basis, (columns,); 0 and 1 for the basis, which is
            standardised.
        directions: main directions of the standardised features, (features, directions).
    """

    features: tuple[str, ...]
    basis: Basis | None
    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    directions: NDArray[np.float32]

    @classmethod
    def fit(cls, front: Front, arrays: Mapping[str, NDArray[Any]], most: int, seed: int) -> View:
        """Learn scales and directions from the arrays of training rows.

        Args:
            front: the preprocessing.
            arrays: what it gives.
            most: directions at the most.
            seed: of the randomised decomposition (Halko et al. 2011).
        """
        try:
            from sklearn.utils.extmath import randomized_svd
        except ModuleNotFoundError as error:
            raise missing_extra("scikit-learn", "train", "Trees on features") from error
        features = tuple(name for name in front.names if name != TABLE)
        basis = None if front.table is None else basis_of(front)
        bare = cls(features, basis, *(np.empty(0, np.float32) for _ in range(3)))
        joined, count = bare._joined(arrays), bare._features(arrays).shape[1]
        center = np.zeros(joined.shape[1], np.float32)
        scale = np.ones(joined.shape[1], np.float32)
        center[:count], spread = joined[:, :count].mean(0), joined[:, :count].std(0)
        scale[:count] = np.where(spread > _LEAST, spread, 1.0)
        standard = (joined[:, :count] - center[:count]) / scale[:count]
        found = min(most, *standard.shape)
        _, _, rows = randomized_svd(standard, n_components=found, random_state=seed)
        return cls(features, basis, center, scale, np.ascontiguousarray(rows.T, np.float32))

    def standard(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return what the linear model reads, standardised, (rows, columns)."""
        return (self._joined(arrays) - self.center) / self.scale

    def table(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return what trees read: the table and the features along the main directions."""
        shift, turn = self._turn()
        along = self._features(arrays) @ turn - shift
        return along if self.basis is None else np.hstack([arrays[TABLE], along])

    def emit(
        self, graph: Graph, values: Mapping[str, str], weights: NDArray[Any], bias: NDArray[Any]
    ) -> tuple[str, str]:
        """Add the nodes; return the names of the linear scores and of what trees read."""
        found = [values[name] for name in self.features]
        features = graph.op("Concat", *found, axis=1) if len(found) > 1 else found[0]
        joined = features
        if self.basis is not None:
            joined = graph.op("Concat", features, self.basis.emit(graph, values[TABLE]), axis=1)
        inner = weights / self.scale[:, None]
        outer = bias - self.center @ inner
        scores = graph.op("Gemm", joined, *map(graph.const, _single(inner, outer)))
        shift, turn = self._turn()
        along = graph.op("Gemm", features, *map(graph.const, _single(turn, -shift)))
        if self.basis is None:
            return scores, along
        return scores, graph.op("Concat", values[TABLE], along, axis=1)

    def _turn(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what is taken off, and the directions in the unit of the features."""
        count = len(self.directions)
        turn = self.directions / self.scale[:count, None]
        return self.center[:count] @ turn, turn

    def _features(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        return np.hstack([np.asarray(arrays[name], np.float32) for name in self.features])

    def _joined(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        features = self._features(arrays)
        if self.basis is None:
            return features
        return np.hstack([features, self.basis.run(arrays[TABLE])])


@dataclass(frozen=True, eq=False)
class EmbeddedFitted(Fitted):
    """A linear model of features and table, and trees boosted from its raw scores.

    Attributes:
        weights, bias: of the linear model, over what :meth:`View.standard` gives.
        strength: inverse strength of its regularisation.
        then: the trees, over what :meth:`View.table` gives.
    """

    front: Front
    task: Task
    view: View
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float
    then: TreesFitted
    learner: EmbeddedTrees

    def raw(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        first = self.view.standard(arrays) @ self.weights + self.bias
        return np.asarray(first + self.then.raw({TABLE: self.view.table(arrays)}), np.float32)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        first, table = self.view.emit(graph, values, self.weights, self.bias)
        return graph.op("Add", first, self.then.emit(graph, {TABLE: table}))

    def refit(self, rows: Dataset, context: Context) -> EmbeddedFitted:
        making = _Making(self.front, self.task, self.learner, context)
        seen = making.part(rows, balance=self.learner.balance)
        return making.model(seen, None, self.strength, usual_rounds(self.then))

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        then = self.then.workshop().items()
        tensors = {"weights": self.weights, "bias": self.bias, "center": self.view.center,
                   "scale": self.view.scale, "directions": self.view.directions}  # fmt: skip
        recipe = {"learner": "embedded-trees", "strength": self.strength, "then": "then"}
        return {
            **{f"workshop/then/{name.removeprefix('workshop/')}": data for name, data in then},
            "workshop/first.safetensors": save(tensors),
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


def _single(*arrays: NDArray[Any]) -> list[NDArray[np.float32]]:
    return [np.asarray(array, np.float32) for array in arrays]


@dataclass(frozen=True)
class EmbeddedTrees(Learner):
    """Features of frozen pretrained networks: a linear model, then trees beside the table.

    Attributes:
        backbone: network of images: a registered name, a folder, or a Hugging Face model.
        text: encoder of texts: the same.
        directions: main directions of the features that trees read.
        trees: how the trees are grown.
    """

    backbone: str = "efficientnet-lite0"
    text: str = "minilm"
    directions: Annotated[int, Range(4, 64, log=True)] = 16
    trees: Trees = field(default_factory=Trees)

    tasks: ClassVar[frozenset[str]] = ANSWERS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        found = any(f.kind in (Kind.IMAGE, Kind.TEXT) for f in schema.inputs)
        return "" if found else "there is no image and no text field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> EmbeddedFitted:
        images = any(f.kind == Kind.IMAGE for f in train.schema.inputs)
        front = fit_front(
            train,
            style="codes",
            image=ImageOptions(backbone=get_backbone(self.backbone)) if images else None,
            kinds=(Kind.TEXT,),
            text=partial(EncodedTextFront.of, encoder=self.text),
            context=context,
        )
        making = _Making(front, task, self, context)
        seen, watched = making.part(train, balance=self.balance), making.part(valid)
        return making.model(seen, watched, making.strength(seen, watched), None)


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows, as they are, prepared, with targets and weights."""

    data: Dataset
    arrays: Mapping[str, NDArray[Any]]
    y: NDArray[Any]
    weights: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class _Making:
    """Steps of a fit."""

    front: Front
    task: Task
    learner: EmbeddedTrees
    context: Context

    def part(self, data: Dataset, *, balance: bool = False) -> _Part:
        weights = row_weights(data, self.task, balance=balance)
        return _Part(data, self.front.run(data, self.context), data.targets(self.task), weights)

    def view(self, seen: _Part) -> View:
        return View.fit(self.front, seen.arrays, self.learner.directions, self.context.seed)

    def strength(self, seen: _Part, watched: _Part) -> float:
        """Return the inverse strength of regularisation with the least loss of watched rows."""
        view, best = self.view(seen), (np.inf, STRENGTHS[0])
        x, watch = view.standard(seen.arrays), view.standard(watched.arrays)
        share = self.context.share(3)
        with self.context.stage("linear", total=len(STRENGTHS), unit="strength") as stage:
            for strength in STRENGTHS:
                if best[0] < np.inf and share.seconds_left() <= 0:
                    break
                weights, bias = fit_weights(x, seen.y, self.task, strength, seen.weights)
                loss = linear_loss(watch @ weights + bias, watched.y, self.task, watched.weights)
                stage.advance(loss=loss)
                best = min(best, (loss, strength))
        return best[1]

    def model(
        self, seen: _Part, watched: _Part | None, strength: float, rounds: tuple[int, ...] | None
    ) -> EmbeddedFitted:
        """Fit the linear model, and trees from its scores of rows that it did not see."""
        view, task = self.view(seen), self.task
        x, y, known = view.standard(seen.arrays), seen.y, seen.weights
        weights, bias = fit_weights(x, y, task, strength, known)
        parts = parts_of_rows(seen.data, self.context.seed)
        start = unseen_linear(x, y, known, task, strength, parts)
        given = rows_from((view.table(seen.arrays), y, known), start, task)
        watch = None
        if watched is not None:
            table: Given = view.table(watched.arrays), watched.y, watched.weights
            watch = rows_from(table, view.standard(watched.arrays) @ weights + bias, task)
        grown = self.learner.trees.grow(self.front, task, given, watch, rounds, self.context)
        then = TreesFitted(self.front, task, (grown,))
        return EmbeddedFitted(self.front, task, view, weights, bias, strength, then, self.learner)
