"""Learners that train a network which somebody brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lepta.core.errors import missing_extra
from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.models.custom.adapted import Outputs, adapt, try_out
from lepta.models.custom.given import is_keras, load_model
from lepta.models.front import Front, ImageOptions
from lepta.tasks import Task
from lepta.training.loop import LoopOptions
from lepta.training.neural import Neural, NeuralFitted

if TYPE_CHECKING:
    from lepta.data import Dataset

_TRIAL = 4


def _plain_loop() -> LoopOptions:
    return LoopOptions(augment=False)


@dataclass(frozen=True)
class Torch(Neural):
    """A torch module of one's own, trained by Lepta's loop.

    It takes one tensor a prepared array: the table (rows, columns) first, where there is one, then
    images (rows, channels, size, size) in [0, 1], in the order of the fields. It gives one raw
    score a class, or one column for two classes, or a value in units of the target's spread.

    Attributes:
        model: the module, its class, a function that returns it, or "file.py:name".
        outputs: whether it ends in logits or probabilities; "auto" looks at its last step.
        arguments: what a class or function is given, by the names of its parameters.
    """

    loop: LoopOptions = field(default_factory=_plain_loop)
    model: Any = None
    outputs: Outputs = "auto"
    arguments: dict[str, Any] = field(default_factory=dict)
    name = "torch"
    kinds = ()
    gaps = False

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return "" if self.model is not None else "no model was given; give model="

    def build(
        self, front: Front, arrays: Mapping[str, NDArray[np.float32]], task: Task
    ) -> tuple[nn.Module, LoopOptions]:
        shapes = {name: arrays[name].shape for name in front.names}
        network = adapt(self.model, shapes, task, self.outputs, self.arguments)
        try_out(network, [arrays[name][:_TRIAL] for name in front.names], task, self.model)
        usual = _plain_loop()
        wishes: dict[str, Any] = {
            name: value
            for name, value in network.wishes.items()
            if getattr(self.loop, name) == getattr(usual, name)
        }
        return network, replace(self.loop, **wishes)


@dataclass(frozen=True)
class Keras(Torch):
    """A Keras 3 model on the torch backend, trained by Lepta's loop.

    A final sigmoid or softmax is recognised, images come in the layout of its layers, and learning
    rate, weight decay and loss are those it was compiled with, where the options of the loop do
    not say otherwise.
    """

    name = "keras"

    def image_options(self) -> ImageOptions:
        from lepta.models.custom.kerasmodel import image_size

        model = load_model(self.model) if isinstance(self.model, str) else self.model
        return ImageOptions(size=self.size or (image_size(model) if is_keras(model) else None))

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> NeuralFitted:
        if find_spec("keras") is None:
            raise missing_extra("keras", "keras", "A Keras model")
        return super().fit(train, valid, task, context)
