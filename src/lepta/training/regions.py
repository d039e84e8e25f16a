"""What learners of regions (segmentation, detection) have in common: one image field, places."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lepta.core.errors import ConfigError, TrainError
from lepta.core.events import Context
from lepta.core.schema import Kind, Role, Schema
from lepta.models.front import Front, ImageFront, ImageOptions, fit_front
from lepta.models.graph import Graph
from lepta.models.learner import Fitted, Learner
from lepta.models.networks import network_to_onnx
from lepta.models.networks.encoders import Encoder, Pyramid, encoder_for
from lepta.models.pretrained import pretrained
from lepta.tasks import Task
from lepta.training.loop import LoopOptions, predict_network

if TYPE_CHECKING:
    from lepta.data import Dataset

PRETRAINED = "pretrained:"
"""What the name of an encoder begins with whose weights are published ones."""


@dataclass(frozen=True)
class RegionsFitted(Fitted):
    """A trained network over one prepared image."""

    front: Front
    task: Task
    network: nn.Module
    recipe: Mapping[str, Any]

    @property
    def image(self) -> ImageFront:
        """The part of the preprocessing that prepares the image."""
        return self.front.images[0]

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return predict_network(self.network, self.front.names, arrays)

    def embed(self, graph: Graph, values: Mapping[str, str], network: nn.Module) -> str:
        """Add a network over the prepared image to a graph; return the name of its output."""
        shape = self.image.out_shape
        model = network_to_onnx(network, [torch.zeros(2, *shape[1:])])
        (given,) = model.graph.input
        (found,) = graph.embed(model, {given.name: values[self.image.source.name]})
        return found

    def emit_size(self, graph: Graph) -> str:
        """Add the nodes that give height and width of the image as it came, int64 (2,)."""
        return graph.op("Shape", self.image.tensor, start=1, end=3)

    def workshop(self) -> dict[str, bytes]:
        from safetensors.torch import save

        state = {k: v.contiguous() for k, v in self.network.state_dict().items()}
        return {
            "workshop/network.safetensors": save(state),
            "workshop/recipe.json": json.dumps(dict(self.recipe)).encode(),
        }


@dataclass(frozen=True)
class Regions(Learner):
    """A network from one image field to places in it.

    Attributes:
        loop: how it is trained.
        encoder: registered name of an encoder with maps, which is trained from nothing, or
            "pretrained:" and the registered name of a backbone with maps.
        encoder_options: options of the encoder; a pretrained one has none.
        size: height and width that images are brought to; None chooses by the images.
    """

    loop: LoopOptions = field(default_factory=LoopOptions)
    encoder: str = "resnet"
    encoder_options: dict[str, Any] = field(default_factory=dict)
    size: int | None = None

    def unfit_for(self, schema: Schema, task: Task) -> str:
        images = [f.name for f in schema.inputs if f.kind == Kind.IMAGE]
        if len(images) == 1:
            return ""
        return "there is no image field" if not images else f"{task.name} needs one image field"

    def fit_images(self, train: Dataset, context: Context) -> Front:
        """Fit the preprocessing of the image field; other fields are left out."""
        options = ImageOptions(size=self.size)
        return fit_front(images_of(train), style="dense", image=options, context=context)

    def build_encoder(self, front: Front) -> Pyramid:
        """Return the encoder, untrained unless its name says that it is pretrained.

        Raises:
            TrainError: it has no maps.
            ConfigError: there is no such encoder, or it has no such option.
            MissingExtraError: the package with the pretrained weights is not installed.
        """
        shape = front.images[0].out_shape
        if self.encoder.startswith(PRETRAINED):
            if self.encoder_options:
                raise ConfigError(
                    f"The encoder {self.encoder!r} is what was published; it has no options.",
                    fix="Leave encoder_options out, or name an encoder that is not pretrained.",
                )
            make = pretrained(self.encoder.removeprefix(PRETRAINED)).pyramid
            encoder: Encoder | None = make and make(shape)
        else:
            encoder = encoder_for(self.encoder, shape, **self.encoder_options)
        if not isinstance(encoder, Pyramid):
            raise TrainError(
                f"The encoder {self.encoder!r} has no maps, which regions are found on.",
                fix="Choose resnet, resnet18, mobilenetv2, efficientnet-lite0, convnext or "
                f"{PRETRAINED}efficientnet-lite0.",
            )
        return encoder


def images_of(data: Dataset) -> Dataset:
    """Return the rows with images as the only inputs."""
    schema = data.schema
    for other in data.schema.inputs:
        if other.kind != Kind.IMAGE:
            schema = schema.replace(other.name, role=Role.IGNORE)
    return data.with_schema(schema)


def sizes_of(data: Dataset, image: ImageFront, context: Context) -> NDArray[np.int64]:
    """Return height and width of each image as it came, (rows, 2)."""
    sizes = data.decoded(
        image.source.name,
        lambda decoded: np.array(decoded.shape[:2], np.int64),
        key="height and width",
        decoder=image.decoder,
        context=context,
    )
    return np.asarray(sizes)
