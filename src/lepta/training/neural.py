"""Learners that are networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lepta.core.events import Context
from lepta.core.schema import ARRAYS, Kind, Schema
from lepta.models.front import OTHERS, Front, ImageOptions, fit_front
from lepta.models.front.front import PLAIN
from lepta.models.graph import Graph
from lepta.models.learner import VECTORS, Fitted, Learner, row_weights
from lepta.models.networks import Network, build_network, network_to_onnx, plan_network
from lepta.tasks import Task
from lepta.training.loop import LoopOptions, Rows, predict_network, train_network

if TYPE_CHECKING:
    from lepta.data import Dataset


@dataclass(frozen=True)
class NeuralFitted(Fitted):
    """A trained network over prepared arrays."""

    front: Front
    task: Task
    network: nn.Module
    shapes: Mapping[str, tuple[int, ...]]
    learner: str

    def raw(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        return predict_network(self.network, self.front.names, arrays)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        names = self.front.names
        whole = {part.source.name for part in self.front.fields if part.prepared == "int64"}
        examples = [
            torch.zeros(
                2, *self.shapes[name][1:], dtype=torch.int64 if name in whole else torch.float32
            )
            for name in names
        ]
        model = network_to_onnx(self.network, examples)
        inputs = [node.name for node in model.graph.input]
        (raw,) = graph.embed(model, dict(zip(inputs, [values[n] for n in names], strict=True)))
        return raw

    def workshop(self) -> dict[str, bytes]:
        from safetensors.torch import save

        state = _distinct(self.network.state_dict())
        shapes = {name: list(shape[1:]) for name, shape in self.shapes.items()}
        recipe: dict[str, Any] = {"learner": self.learner, "shapes": shapes}
        if isinstance(self.network, Network) and self.network.plan is not None:
            recipe["plan"] = self.network.plan.model_dump(mode="json")
        return {
            "workshop/network.safetensors": save(state),
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


def prepared_rows(
    front: Front, data: Dataset, task: Task, context: Context, *, balance: bool = False
) -> Rows:
    """Return a dataset as a network takes it: prepared arrays, targets, row weights."""
    arrays = front.run(data, context)
    weights = row_weights(data, task, balance=balance)
    return Rows([arrays[name] for name in front.names], data.targets(task), weights)


def _distinct(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return each tensor under the first of its names: layers may share weights."""
    kept = {(t.data_ptr(), t.shape): name for name, t in reversed([*state.items()]) if t.numel()}
    names = {*kept.values(), *(name for name, tensor in state.items() if not tensor.numel())}
    return {name: tensor.contiguous() for name, tensor in state.items() if name in names}


@dataclass(frozen=True)
class Neural(Learner):
    """A network with one encoder a field, whatever kinds of field there are.

    Attributes:
        loop: how it is trained.
        size: height and width of images; None chooses by the images, at most 128.
        encoders: names of encoders by field, by kind of field ("image", "text") or "table";
            others than these take the usual one of their kind.
        encoder_options: options of the encoders, such as ``width``, by the same names.
    """

    loop: LoopOptions = field(default_factory=LoopOptions)
    size: int | None = None
    encoders: dict[str, str] = field(default_factory=dict)
    encoder_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: ClassVar[frozenset[str]] = VECTORS
    name: ClassVar[str] = "neural"
    image: ClassVar[str] = "resnet"
    kinds: ClassVar[tuple[Kind, ...]] = OTHERS
    gaps: ClassVar[bool] = True

    def unfit_for(self, schema: Schema, task: Task) -> str:
        found = any(f.kind in {*PLAIN, *ARRAYS} for f in schema.inputs)
        return "" if found else "there is no field that a network takes"

    def image_options(self) -> ImageOptions:
        """Return how images are prepared."""
        return ImageOptions(size=self.size)

    def build(
        self, front: Front, arrays: Mapping[str, NDArray[Any]], task: Task
    ) -> tuple[nn.Module, LoopOptions]:
        """Return an untrained network for the prepared training rows, and how to train it."""
        shapes = {name: array.shape for name, array in arrays.items()}
        encoders = {Kind.IMAGE.value: self.image, **self.encoders}
        options, disturb = self.encoder_options, self.loop.augment
        plan = plan_network(front, shapes, task, encoders, options, disturb=disturb)
        return build_network(plan), self.loop

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> NeuralFitted:
        front = fit_front(
            train,
            style="dense",
            image=self.image_options(),
            kinds=self.kinds,
            gaps=self.gaps,
            context=context,
        )
        seen = prepared_rows(front, train, task, context, balance=self.balance)
        watched = prepared_rows(front, valid, task, context)
        arrays = dict(zip(front.names, seen.arrays, strict=True))
        shapes = {name: array.shape for name, array in arrays.items()}
        torch.manual_seed(context.seed)
        network, loop = self.build(front, arrays, task)
        trained = train_network(network, seen, watched, task, loop, context)
        return NeuralFitted(front, task, trained, shapes, self.name)


@dataclass(frozen=True)
class _ForImages(Neural):
    """Networks for images, with the table where there is one."""

    kinds = ()

    def unfit_for(self, schema: Schema, task: Task) -> str:
        found = any(f.kind == Kind.IMAGE for f in schema.inputs)
        return "" if found else "there is no image field"


@dataclass(frozen=True)
class ResNet(_ForImages):
    """A small residual CNN for images (with the table, where there is one)."""

    name = "resnet"


@dataclass(frozen=True)
class Cnn(_ForImages):
    """The reference CNN for images (with the table, where there is one)."""

    name = "cnn"
    image = "cnn"


@dataclass(frozen=True)
class Mlp(Neural):
    """A residual dense network for tables (with images, where there are some)."""

    loop: LoopOptions = field(
        default_factory=lambda: LoopOptions(epochs=40, batch=256, learning_rate=3e-3, augment=False)
    )
    name = "mlp"
    kinds = ()

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"
