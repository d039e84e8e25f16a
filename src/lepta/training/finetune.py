"""Fine-tuning: a pretrained network is trained on, from a head fitted on its features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch

from lepta.core.errors import ConfigError
from lepta.core.events import Context
from lepta.core.schema import Kind, Schema
from lepta.core.space import Choice, Range
from lepta.models.front import ImageOptions, fit_front
from lepta.models.front.front import TABLE
from lepta.models.front.text import TextFront
from lepta.models.linear import fit_weights
from lepta.models.pretrained import Pretrained, pretrained
from lepta.models.pretrained.adapters import adapters
from lepta.models.pretrained.base import Pooling
from lepta.models.pretrained.tuned import Tuned, encode
from lepta.tasks import Task
from lepta.tasks.objective import objective_of
from lepta.training.loop import LoopOptions, Rows, train_network
from lepta.training.neural import Neural, NeuralFitted, prepared_rows

if TYPE_CHECKING:
    from lepta.data import Dataset

Mode = Literal["together", "staged", "lora"]
_LEAST_SPREAD = 1e-3
_DEFAULTS = {Kind.IMAGE: "efficientnet-lite0", Kind.TEXT: "minilm"}


def _loop() -> LoopOptions:
    return LoopOptions(epochs=8, batch=32, learning_rate=1e-3, weight_decay=0.05, patience=4)


@dataclass(frozen=True)
class Finetune(Neural):
    """A pretrained network of images or texts, trained on with rates that fall towards its input.

    It begins with a linear head fitted on the features as they are, since training on from there
    disturbs them less (Kumar et al. 2022, arXiv:2202.10054). With ``loop.mirror`` it also answers
    by the mean over an image and its mirror image.

    Attributes:
        backbone: registered name of the pretrained network, a folder, or a Hugging Face model;
            by default efficientnet-lite0 for images, minilm for texts.
        pooling: how vectors of tokens or patches of a Hugging Face model become one.
        mode: whether the stages learn "together"; "staged", the last one first, then one more at
            a time (Howard & Ruder 2018, arXiv:1801.06146); or by "lora", small matrices beside
            the frozen ones of a transformer (Hu et al. 2021, arXiv:2106.09685), merged at the end.
        depth: stages that learn, from the end; 0 trains the head alone.
        ratio: learning rate of the last stage, as a share of the head's.
        decay: by how much each stage's rate is less than the next one's.
        rank: of the matrices of "lora".
        dropout: share of the features that is dropped in training.
        strength: inverse regularisation strength of the head at the start.
    """

    loop: LoopOptions = field(default_factory=_loop)
    backbone: str = ""
    pooling: Pooling = "auto"
    mode: Mode = "together"
    depth: Annotated[int, Choice(1, 2, 4)] = 4
    ratio: Annotated[float, Range(0.03, 1.0, log=True)] = 0.3
    decay: Annotated[float, Range(0.3, 1.0)] = 0.6
    rank: int = 8
    dropout: Annotated[float, Range(0.0, 0.5)] = 0.3
    strength: float = 0.001
    name = "finetune"

    def unfit_for(self, schema: Schema, task: Task) -> str:
        found = sum(f.kind in _DEFAULTS for f in schema.inputs)
        return "" if found == 1 else f"it takes one field of images or texts; there are {found}"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> NeuralFitted:
        source = self._source(train.schema)
        front = fit_front(
            train,
            style="dense",
            image=ImageOptions(size=source.size) if source.kind == Kind.IMAGE else None,
            kinds=(source.kind,),
            text=partial(TextFront.fit, given=(source.tokenizer, source.length)),
            context=context,
        )
        learned = prepared_rows(front, train, task, context, balance=self.balance)
        watched = prepared_rows(front, valid, task, context)
        arrays = dict(zip(front.names, learned.arrays, strict=True))
        torch.manual_seed(context.seed)
        table = arrays[TABLE].shape[1] if TABLE in arrays else 0
        network = Tuned(
            source,
            table,
            task.raw_width,
            decay=self.decay,
            ratio=self.ratio,
            dropout=self.dropout,
            mirror=self.loop.augment and self.loop.mirror,
        )
        self._begin(network, learned, task)
        if self.mode == "lora":
            with adapters(network, self.rank):
                train_network(network, learned, watched, task, self.loop, context)
        else:
            phases = self.phases(len(source.stages))
            for number, (depth, loop) in enumerate(phases):
                network.unfreeze(depth)
                part = context.share(len(phases) - number)
                train_network(network, learned, watched, task, loop, part)
        shapes: Mapping[str, Any] = {name: array.shape for name, array in arrays.items()}
        return NeuralFitted(front, task, network, shapes, self.name)

    def _source(self, schema: Schema) -> Pretrained:
        """Return the pretrained network.

        Raises:
            ConfigError: it is for fields of another kind.
        """
        kind = next(f.kind for f in schema.inputs if f.kind in _DEFAULTS)
        source = pretrained(self.backbone or _DEFAULTS[kind], self.pooling)
        if source.kind != kind:
            raise ConfigError(
                f"{self.backbone!r} is for {source.kind.value} fields; the data has one of "
                f"{kind.value}.",
                fix="Name another backbone.",
            )
        return source

    def _begin(self, network: Tuned, learned: Rows, task: Task) -> None:
        """Fit the head on the features as they are."""
        features = encode(network, learned.arrays)
        shift, spread = features.mean(0), features.std(0) + _LEAST_SPREAD
        normal = ((features - shift) / spread).astype(np.float32)
        weights, bias = fit_weights(normal, learned.y, task, self.strength, learned.weights)
        objective = objective_of(task)
        objective.fit(learned.y)  # the network brings what the head gives to the target's unit
        center, scale = objective.center.numpy(), objective.scale.numpy()
        network.begin(shift, spread, weights / scale, (bias - center) / scale)

    def phases(self, stages: int) -> list[tuple[int, LoopOptions]]:
        """Return how many stages learn, and how, one phase after the other."""
        depth = min(self.depth, stages)
        if self.mode == "together" or depth < 2:
            return [(depth, self.loop)]
        each = replace(self.loop, epochs=max(1, self.loop.epochs // depth))
        return [(reached, each) for reached in range(1, depth + 1)]
