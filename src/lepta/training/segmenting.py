"""Segmentation networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from lepta.core.errors import DataError
from lepta.core.events import Context
from lepta.models.graph import Graph
from lepta.models.learner import row_weights
from lepta.models.networks.unet import UNet
from lepta.runtime.predictions import Piece, gather
from lepta.tasks import Task
from lepta.training.loop import LoopOptions, Rows, train_network
from lepta.training.regions import Regions, RegionsFitted, images_of, sizes_of

if TYPE_CHECKING:
    from lepta.data import Dataset


@dataclass(frozen=True)
class UnetFitted(RegionsFitted):
    """A trained U-Net; its logits are brought back to the size of each image."""

    def scores(self, rows: Dataset, context: Context, temperature: float = 1.0) -> NDArray[Any]:
        rows = images_of(rows)
        raw = self.raw(self.front.run(rows, context))
        sizes = sizes_of(rows, self.image, context)
        pieces: list[Piece] = []
        for size in np.unique(sizes, axis=0):
            index = np.flatnonzero((sizes == size).all(axis=1))
            pieces.append((index, self.task.finish(resized(raw[index], size), temperature)))
        return gather(pieces, len(rows), self.task.output())

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        raw = self.embed(graph, values, self.network)
        rows_and_maps = graph.op("Shape", raw, end=2)
        return graph.op(
            "Resize",
            raw,
            "",
            "",
            graph.op("Concat", rows_and_maps, self.emit_size(graph), axis=0),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )


@dataclass(frozen=True)
class Unet(Regions):
    """U-Net over any encoder with maps, for segmentation.

    Attributes:
        width: channels of the finest level.
    """

    loop: LoopOptions = field(
        default_factory=lambda: LoopOptions(epochs=40, batch=16, learning_rate=3e-3, patience=12)
    )
    width: int = 16

    tasks: ClassVar[frozenset[str]] = frozenset({"segmentation"})

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> UnetFitted:
        front = self.fit_images(train, context)
        shape = front.images[0].out_shape
        torch.manual_seed(context.seed)
        network = UNet(self.build_encoder(front), shape[1], task.width, self.width)
        parts = []
        for data in (train, valid):
            arrays = front.run(images_of(data), context)
            sizes = sizes_of(images_of(data), front.images[0], context)
            y = small_masks(data.targets(task), sizes, shape[2], data)
            weights = row_weights(data, task, balance=False)
            parts.append(Rows([arrays[name] for name in front.names], y, weights))
        trained = train_network(network, parts[0], parts[1], task, self.loop, context)
        recipe = {
            "learner": "unet",
            "encoder": self.encoder,
            "encoder_options": self.encoder_options,
            "width": self.width,
            "shape": list(shape[1:]),
        }
        return UnetFitted(front, task, trained, recipe)


def resized(raw: NDArray[np.float32], size: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return maps (rows, maps, height, width) brought to another size, as the graph does it."""
    height, width = (int(side) for side in size)
    found = functional.interpolate(torch.from_numpy(raw), size=(height, width), mode="bilinear")
    return found.numpy()


def small_masks(
    masks: NDArray[Any], sizes: NDArray[np.int64], side: int, data: Dataset
) -> NDArray[np.uint8]:
    """Return masks of the prepared size, (rows, side, side), by the nearest pixel.

    Raises:
        DataError: a mask has another size than its image; the row is named.
    """
    small = np.empty((len(masks), side, side), np.uint8)
    for row, (mask, size) in enumerate(zip(masks, sizes, strict=True)):
        if mask.shape != tuple(size):
            from lepta.data.access import where

            raise DataError(
                f"The mask is {mask.shape[0]} x {mask.shape[1]}, its image {size[0]} x {size[1]}.",
                where=where(data, data.task.target, row),
                fix="A mask has the height and width of its image.",
            )
        across, down = (_nearest(side, length) for length in (size[1], size[0]))
        small[row] = mask[down][:, across]
    return small


def _nearest(side: int, length: int) -> NDArray[np.int64]:
    """Return the pixel of ``length`` that each of ``side`` places lies in."""
    places = ((np.arange(side) + 0.5) * length / side).astype(np.int64)
    return places.clip(0, length - 1)
