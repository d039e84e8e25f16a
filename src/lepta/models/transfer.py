"""Transfer learning: a frozen pretrained backbone and a linear head."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import TrainError
from lepta.core.events import Context
from lepta.core.schema import Kind, Schema
from lepta.models.front import Front, ImageOptions, fit_front
from lepta.models.graph import Graph
from lepta.models.learner import VECTORS, Fitted, Learner, row_weights
from lepta.models.linear import fit_weights, linear_loss
from lepta.models.pretrained import Backbone, get_backbone
from lepta.models.pretrained.base import Pooling
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

STRENGTHS = (0.01, 0.001, 0.1)
"""Inverse regularisation strengths tried, the likeliest first."""


@dataclass(frozen=True)
class Choice:
    """What the search settled on: depth, columns used, mirrored copies, strength."""

    level: str
    columns: NDArray[np.bool_]
    mirror: bool
    strength: float

    def fit(
        self,
        x: NDArray[np.float32],
        mirrored: NDArray[np.float32],
        y: NDArray[Any],
        task: Task,
        rows: NDArray[np.float64] | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights (features, width) and bias (width,) over features as they are."""
        if self.mirror:
            x, y = np.vstack([x, mirrored]), np.concatenate([y, y])
            rows = None if rows is None else np.concatenate([rows, rows])
        used = x[:, self.columns]
        center, scale = used.mean(0), used.std(0) + 1e-6
        inner, bias = fit_weights((used - center) / scale, y, task, self.strength, rows)
        weights = np.zeros((x.shape[1], inner.shape[1]), np.float32)
        weights[self.columns] = inner / scale[:, None]
        return weights, (bias - center @ weights[self.columns]).astype(np.float32)


@dataclass(frozen=True)
class TransferFitted(Fitted):
    """Weights (features, width) and bias (width,) over backbone features and the table."""

    front: Front
    task: Task
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    choice: Choice
    balance: bool

    def refit(self, rows: Dataset, context: Context) -> TransferFitted:
        x, mirrored = _both_ways(self.front, rows, context)
        y = rows.targets(self.task)
        known = row_weights(rows, self.task, balance=self.balance)
        weights, bias = self.choice.fit(x, mirrored, y, self.task, known)
        return replace(self, weights=weights, bias=bias)

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return _join(arrays, self.front) @ self.weights + self.bias

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        parts = [values[name] for name in self.front.names]
        joined = graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        return graph.op("Gemm", joined, graph.const(self.weights), graph.const(self.bias))

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        chosen = {"level": self.choice.level, "mirrored": self.choice.mirror}
        recipe = {"learner": "transfer", "strength": self.choice.strength, **chosen}
        return {
            "workshop/head.safetensors": save({"weights": self.weights, "bias": self.bias}),
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


@dataclass(frozen=True)
class Transfer(Learner):
    """Features of a frozen backbone, and logistic or ridge regression on them.

    Depth of the features, mirrored copies of the training images and the strength of
    regularisation are chosen on the validation rows.

    Attributes:
        backbone: registered name of the pretrained network, a folder, or a Hugging Face model.
        pooling: how vectors of tokens or patches of a Hugging Face model become one.
    """

    backbone: str = "efficientnet-lite0"
    pooling: Pooling = "auto"

    tasks: ClassVar[frozenset[str]] = VECTORS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        if not any(f.kind == Kind.IMAGE for f in schema.inputs):
            return "there is no image field"
        return ""

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> TransferFitted:
        backbone = get_backbone(self.backbone, self.pooling)
        options = ImageOptions(backbone=backbone)
        front = fit_front(train, style="dense", image=options, context=context)
        x, mirrored = _both_ways(front, train, context)
        watch = _join(front.run(valid, context), front)
        y, yv = train.targets(task), valid.targets(task)
        known = row_weights(train, task, balance=self.balance)
        watched = row_weights(valid, task, balance=False)
        best: tuple[float, Choice] | None = None
        with context.stage("transfer", unit="head") as stage:
            levels = _levels(front, backbone, x.shape[1])
            for strength, level, mirror in product(STRENGTHS, levels, (False, True)):
                choice = Choice(level, levels[level], mirror, strength)
                if best is not None and not self._worth(choice, best[1], context):
                    continue
                weights, bias = choice.fit(x, mirrored, y, task, known)
                loss = linear_loss(watch @ weights + bias, yv, task, watched)
                stage.advance(loss=loss)
                if best is None or loss < best[0]:
                    best = loss, choice
        if best is None:
            raise TrainError("There was nothing to choose from.")
        weights, bias = best[1].fit(x, mirrored, y, task, known)
        return TransferFitted(front, task, weights, bias, best[1], self.balance)

    def _worth(self, choice: Choice, best: Choice, context: Context) -> bool:
        """Whether to try a choice: other strengths only for the best depth and mirroring."""
        same = (choice.level, choice.mirror) == (best.level, best.mirror)
        return context.seconds_left() > 0 and (choice.strength == STRENGTHS[0] or same)


def _both_ways(
    front: Front, rows: Dataset, context: Context
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the features of the rows, and those of their mirror images."""
    arrays = front.run(rows, context)
    mirrored = front.mirrored().run(rows, context)
    images = {image.source.name: mirrored[image.source.name] for image in front.images}
    return _join(arrays, front), _join(arrays | images, front)


def _join(arrays: Mapping[str, NDArray[np.float32]], front: Front) -> NDArray[np.float32]:
    return np.hstack([np.asarray(arrays[name], np.float32) for name in front.names])


def _levels(front: Front, backbone: Backbone, columns: int) -> dict[str, NDArray[np.bool_]]:
    """Return masks of the columns used at each depth; the table is always used."""
    width = max(last for _, last in backbone.levels.values())
    table = columns - width * len(front.images)
    masks = {}
    for name, (first, last) in backbone.levels.items():
        one = np.zeros(width, np.bool_)
        one[first:last] = True
        masks[name] = np.concatenate([np.ones(table, np.bool_), *[one] * len(front.images)])
    return {**masks, "all": np.ones(columns, np.bool_)}
