"""Images against a memory of normal patches (PatchCore, Roth et al. 2022, arXiv:2106.08265)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context, Stage
from lepta.core.schema import Kind, Schema
from lepta.models.front import Front, ImageOptions, fit_front
from lepta.models.graph import Graph
from lepta.models.learner import Fitted, Learner
from lepta.models.outliers.normal import TASKS, normal_rows
from lepta.models.pretrained.base import frozen
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

_PROJECTED = 64
"""Directions at random in which patches are compared while the memory is chosen."""
_DRAWN = 40_000
"""Patches, at the most, of which the memory is chosen."""
_CHUNK = 32
"""Images whose patches are compared at once."""


@dataclass(frozen=True)
class PatchesFitted(Fitted):
    """Patch vectors of normal images.

    The raw score of an image is the largest distance from one of its patches to the nearest one
    in the memory; the paper's weighing by the density of the memory is left out.

    Attributes:
        field: name of the image field.
        patches: patches of an image.
        center, scale: mean of each feature (features,), and their spread.
        memory: (kept, features) of normal patches, scaled.
    """

    front: Front
    task: Task
    field: str
    patches: int
    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    memory: NDArray[np.float32]

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        images = arrays[self.field]
        found = [
            self._strangeness(images[start : start + _CHUNK])
            for start in range(0, len(images), _CHUNK)
        ]
        return np.concatenate([np.empty((0, 1), np.float32), *found])

    def _strangeness(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        points = (_points(images, self.patches) - self.center) / self.scale
        apart = points @ (-2 * self.memory.T) + (self.memory**2).sum(axis=1)
        squares = (points**2).sum(axis=1) + apart.min(axis=1)
        largest = np.maximum(squares, 0).reshape(len(images), self.patches).max(axis=1)
        return np.asarray(np.sqrt(largest), np.float32)[:, None]

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        shape = graph.const([-1, self.patches, len(self.center)], "int64")
        points = graph.op("Reshape", values[self.field], shape)
        points = graph.op("Sub", points, graph.const(self.center))
        points = graph.op("Div", points, graph.const(self.scale))
        last = graph.const([-1], "int64")
        products = graph.op("MatMul", points, graph.const(-2 * self.memory.T))
        apart = graph.op("Add", products, graph.const((self.memory**2).sum(axis=1)))
        near = graph.op("ReduceMin", apart, last, keepdims=0)
        squares = graph.op("Add", near, graph.op("ReduceSumSquare", points, last, keepdims=0))
        largest = graph.op("ReduceMax", squares, graph.const([1], "int64"), keepdims=1)
        return graph.op("Sqrt", graph.op("Max", largest, graph.const(0.0, "float32")))

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        arrays = {"memory": self.memory, "center": self.center, "scale": self.scale}
        return {
            "workshop/patches.safetensors": save(arrays),
            "workshop/recipe.json": json.dumps({"learner": "patchcore"}).encode(),
        }


@dataclass(frozen=True)
class PatchCore(Learner):
    """Normal images are remembered, patch by patch, as a frozen backbone sees them.

    Attributes:
        images: normal images, at the most, that are looked at.
        memory: patch vectors kept, at the most.
        share: share of the patches kept.
    """

    images: int = 400
    memory: int = 1000
    share: float = 0.1

    tasks: ClassVar[frozenset[str]] = TASKS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        count = sum(field.kind == Kind.IMAGE for field in schema.inputs)
        return "" if count == 1 else f"it takes one image field, and there are {count}"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> PatchesFitted:
        rng = np.random.default_rng(context.seed)
        normal = normal_rows(train, task)
        if len(normal) > self.images:
            normal = normal.take(np.sort(rng.choice(len(normal), self.images, replace=False)))
        from lepta.models.pretrained.efficientnet import PLACES, lite0_patches

        backbone = frozen(lite0_patches())
        image = ImageOptions(backbone=backbone)
        front = fit_front(normal, style="dense", image=image, context=context)
        front = replace(front, table=None)
        name = front.images[0].source.name
        points = _points(front.run(normal, context)[name], PLACES)
        center, scale = points.mean(axis=0), _spread(points, backbone.levels)
        if len(points) > _DRAWN:
            points = points[rng.choice(len(points), _DRAWN, replace=False)]
        points = (points - center) / scale
        kept = max(1, min(self.memory, round(self.share * len(points))))
        with context.stage("patchcore", total=kept, unit="patch") as stage:
            memory = points[coreset(points, kept, rng, stage, context)]
        return PatchesFitted(front, task, name, PLACES, center, scale, memory)


def coreset(
    points: NDArray[np.float32],
    kept: int,
    rng: np.random.Generator,
    stage: Stage,
    context: Context,
) -> NDArray[np.int64]:
    """Return rows of ``points`` (rows, features) that lie near all others, ``kept`` or fewer.

    Each is the point farthest from those before it (Gonzalez 1985), seen along a few directions
    at random; it stops early where time is up.
    """
    if points.shape[1] > _PROJECTED:
        directions = rng.normal(size=(points.shape[1], _PROJECTED)) / np.sqrt(_PROJECTED)
        points = points @ directions.astype(np.float32)
    chosen = [int(rng.integers(len(points)))]
    apart = np.full(len(points), np.inf, np.float32)
    stage.advance()
    while len(chosen) < kept and context.seconds_left() > 0:
        apart = np.minimum(apart, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(apart.argmax()))
        stage.advance()
    return np.array(chosen)


def _points(images: NDArray[np.float32], patches: int) -> NDArray[np.float32]:
    """Return the patches (images * patches, features) of flat images, one after the other."""
    return images.reshape(len(images) * patches, -1)


def _spread(
    points: NDArray[np.float32], levels: Mapping[str, tuple[int, int]]
) -> NDArray[np.float32]:
    """Return what to divide each feature by so that every level varies as much as any other."""
    scale = np.ones(points.shape[1], np.float32)
    for first, last in levels.values():
        total = float(np.sqrt(points[:, first:last].var(axis=0).sum()))
        scale[first:last] = total or 1.0
    return scale
