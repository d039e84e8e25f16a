"""Transfer learning: frozen pretrained networks and a linear head."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ConfigError, TrainError
from lepta.core.events import Context
from lepta.core.schema import Kind, Schema
from lepta.models.front import Front, ImageFront, ImageOptions, fit_front
from lepta.models.front.encoded import EncodedTextFront
from lepta.models.graph import Graph
from lepta.models.learner import VECTORS, Learner, row_weights
from lepta.models.linear import WeightedFitted, fit_weights, linear_loss
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
class TransferFitted(WeightedFitted):
    """Weights (features, width) and bias (width,) over backbone features and the table."""

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
    """Features of frozen pretrained networks, and logistic or ridge regression on them.

    Images and texts become features, which the table joins. Depth of the features of images,
    mirrored copies of the training ones and the strength of regularisation are chosen on the
    validation rows.

    Attributes:
        backbone: network of images: a registered name, a folder, or a Hugging Face model.
        text: encoder of texts: the same.
        pooling: how vectors of tokens or patches of a Hugging Face model become one.
    """

    backbone: str = "efficientnet-lite0"
    text: str = "minilm"
    pooling: Pooling = "auto"

    tasks: ClassVar[frozenset[str]] = VECTORS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        found = any(f.kind in (Kind.IMAGE, Kind.TEXT) for f in schema.inputs)
        return "" if found else "there is no image and no text field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> TransferFitted:
        front, backbone = self._front(train, context)
        x, mirrored = _both_ways(front, train, context)
        watch = _join(front.run(valid, context), front)
        y, yv = train.targets(task), valid.targets(task)
        known = row_weights(train, task, balance=self.balance)
        watched = row_weights(valid, task, balance=False)
        best: tuple[float, Choice] | None = None
        with context.stage("transfer", unit="head") as stage:
            levels = _levels(front, backbone, x.shape[1])
            for strength, level, mirror in product(
                STRENGTHS, levels, (False, True)[: 1 + bool(backbone)]
            ):
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

    def warm(self, rows: Dataset, context: Context) -> None:
        _both_ways(self._front(rows, context)[0], rows, context)

    def _front(self, train: Dataset, context: Context) -> tuple[Front, Backbone | None]:
        """Return the preprocessing, and the network of images where there are some."""
        backbone = None
        if any(f.kind == Kind.IMAGE for f in train.schema.inputs):
            backbone = get_backbone(self.backbone, self.pooling)
            if backbone.source.kind != Kind.IMAGE:
                raise ConfigError(
                    f"{self.backbone!r} is for {backbone.source.kind.value} fields.",
                    fix="Name it with text=; backbone= is for images.",
                )
        front = fit_front(
            train,
            style="dense",
            image=ImageOptions(backbone=backbone) if backbone else None,
            kinds=(Kind.TEXT,),
            text=partial(EncodedTextFront.of, encoder=self.text, pooling=self.pooling),
            context=context,
        )
        return front, backbone

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


def _levels(front: Front, backbone: Backbone | None, columns: int) -> dict[str, NDArray[np.bool_]]:
    """Return masks of the columns used at each depth; table and texts are always used."""
    everything = {"all": np.ones(columns, np.bool_)}
    if backbone is None:
        return everything
    first = columns - sum(part.out_shape[1] for part in front.fields)
    masks = {}
    for name, (begin, end) in backbone.levels.items():
        parts = [np.ones(first, np.bool_)]
        for part in front.fields:
            mask = np.ones(part.out_shape[1], np.bool_)
            if isinstance(part, ImageFront):
                mask[:begin] = mask[end:] = False
            parts.append(mask)
        masks[name] = np.concatenate(parts)
    return {**masks, **everything}
