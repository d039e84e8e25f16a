"""Learners that are networks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch import Tensor, nn

from lepta.core.events import Context
from lepta.core.schema import ARRAYS, Kind, Schema
from lepta.core.space import Choice, Range
from lepta.models.front import OTHERS, Front, ImageOptions, fit_front
from lepta.models.front.front import PLAIN
from lepta.models.graph import Graph
from lepta.models.learner import VECTORS, Fitted, Learner, row_weights
from lepta.models.networks import Network, build_network, network_to_onnx, plan_network
from lepta.models.networks.encoders.residual import Block, Kernel
from lepta.tasks import Task
from lepta.training.loop import LoopOptions, Rows, predict_network, train_network

if TYPE_CHECKING:
    from lepta.data import Dataset


_FIRST = 24
"""Channels of the first stage of a residual network."""


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

    @cached_property
    def _exported(self) -> ModelProto:
        """The network in ONNX: torch takes seconds to export one, and more than one asks."""
        names = self.front.names
        whole = {part.source.name for part in self.front.fields if part.prepared == "int64"}
        examples = [
            torch.zeros(
                2, *self.shapes[name][1:], dtype=torch.int64 if name in whole else torch.float32
            )
            for name in names
        ]
        return network_to_onnx(self.network, examples)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        model, names = self._exported, self.front.names
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
    """A network with one encoder a field: what learners that are networks have in common.

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
        encoders = {Kind.IMAGE.value: self.image, **self.usual(), **self.encoders}
        own = {key: dict(given) for key, given in self.encoder_options.items()}
        for key, given in self.architecture().items():
            own[key] = {**given, **own.get(key, {})}
        plan = plan_network(front, shapes, task, encoders, own, disturb=self.loop.augment)
        return build_network(plan.model_copy(update={"gated": self.gated()})), self.loop

    def usual(self) -> dict[str, str]:
        """Return the encoders by kind of field that take the place of the usual ones."""
        return {}

    def architecture(self) -> dict[str, dict[str, Any]]:
        """Return the options of encoders that are fields of the learner, by kind of field."""
        return {}

    def gated(self) -> bool:
        """Return whether the encodings of several fields pass gates."""
        return True

    def warm(self, rows: Dataset, context: Context) -> None:
        self._front(rows, context).run(rows, context)

    def _front(self, train: Dataset, context: Context) -> Front:
        return fit_front(
            train,
            style="dense",
            image=self.image_options(),
            kinds=self.kinds,
            gaps=self.gaps,
            context=context,
        )

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> NeuralFitted:
        front = self._front(train, context)
        seen = prepared_rows(front, train, task, context, balance=self.balance)
        watched = prepared_rows(front, valid, task, context)
        arrays = dict(zip(front.names, seen.arrays, strict=True))
        shapes = {name: array.shape for name, array in arrays.items()}
        torch.manual_seed(context.seed)
        network, loop = self.build(front, arrays, task)
        trained = train_network(network, seen, watched, task, loop, context)
        return NeuralFitted(front, task, trained, shapes, self.name)


@dataclass(frozen=True)
class Mixed(Neural):
    """A network with one encoder a field, whose encoders and fusion can be searched.

    Attributes:
        image_encoder, text_encoder, audio_encoder, series_encoder: of such fields, where
            ``encoders`` names no other.
        fusion: whether encodings of several fields are "gated" or just "joined".
    """

    image_encoder: Annotated[str, Choice("resnet", "cnn", "mobilenetv2")] = "resnet"
    text_encoder: Annotated[str, Choice("textcnn", "bilstm", "transformer")] = "textcnn"
    audio_encoder: Annotated[str, Choice("audiocnn", "audiotransformer")] = "audiocnn"
    series_encoder: Annotated[str, Choice("tcn", "gru", "patchtst")] = "tcn"
    fusion: Annotated[Literal["gated", "joined"], Choice("gated", "joined")] = "gated"

    def usual(self) -> dict[str, str]:
        return {
            Kind.IMAGE.value: self.image_encoder,
            Kind.TEXT.value: self.text_encoder,
            Kind.AUDIO.value: self.audio_encoder,
            Kind.SERIES.value: self.series_encoder,
        }

    def gated(self) -> bool:
        return self.fusion == "gated"


@dataclass(frozen=True)
class _ForImages(Neural):
    """Networks for images, with the table where there is one."""

    kinds = ()

    def unfit_for(self, schema: Schema, task: Task) -> str:
        found = any(f.kind == Kind.IMAGE for f in schema.inputs)
        return "" if found else "there is no image field"


@dataclass(frozen=True)
class ResNet(_ForImages):
    """A small residual CNN for images (with the table, where there is one).

    Attributes:
        width: factor of the channels of all stages.
        stages: how often images are looked at, each time half as fine and twice as deep.
        blocks: residual blocks of a stage.
        kernel: side of the convolutions in pixels.
        block: "basic" (two convolutions), "plain" (without the residual connection), or
            "separable" (one convolution a channel, one a pixel).
        pool: whether images are halved before the first stage: four times as fast.
        dropout: share of the features that is dropped in training.
    """

    width: Annotated[float, Range(0.5, 3.0, log=True)] = 1.0
    stages: Annotated[int, Choice(2, 3, 4)] = 3
    blocks: Annotated[int, Choice(1, 2)] = 1
    kernel: Annotated[Kernel, Choice(3, 5)] = 3
    block: Annotated[Block, Choice("basic", "plain", "separable")] = "basic"
    pool: Annotated[bool, Choice(False, True)] = False
    dropout: Annotated[float, Range(0.0, 0.5)] = 0.2
    name = "resnet"

    def architecture(self) -> dict[str, dict[str, Any]]:
        names = ("width", "blocks", "kernel", "block", "pool", "dropout")
        given = _changed(self, names)
        if _changed(self, ("stages",)):
            given["widths"] = tuple(_FIRST * 2**stage for stage in range(self.stages))
        return {Kind.IMAGE.value: given}


@dataclass(frozen=True)
class Cnn(_ForImages):
    """The reference CNN for images (with the table, where there is one).

    Attributes:
        width: factor of the channels.
        depth: factor of the stages, of which there are two.
        dropout: share of the features that is dropped in training.
    """

    width: Annotated[float, Range(0.5, 3.0, log=True)] = 1.0
    depth: Annotated[float, Choice(1.0, 1.5, 2.0)] = 1.0
    dropout: Annotated[float, Range(0.0, 0.5)] = 0.2
    name = "cnn"
    image = "cnn"

    def architecture(self) -> dict[str, dict[str, Any]]:
        return {Kind.IMAGE.value: _changed(self, ("width", "depth", "dropout"))}


def _changed(learner: Neural, names: Sequence[str]) -> dict[str, Any]:
    """Return the options that are not the default: other encoders may not have them."""
    usual = {field.name: field.default for field in fields(learner)}
    given = {name: getattr(learner, name) for name in names}
    return {name: value for name, value in given.items() if value != usual[name]}


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
