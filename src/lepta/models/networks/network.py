"""A network over all fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from lepta.core.errors import ConfigError, suggest
from lepta.core.schema import Kind
from lepta.models.front import PRESENT, TABLE, Front, TextFront
from lepta.models.networks.encoders import ENCODERS, encoder_for
from lepta.models.networks.fusion import Disturb, GatedFusion
from lepta.tasks import Task
from lepta.tasks.objective import objective_of

ENCODER_OF = {
    "table": "mlp",
    Kind.IMAGE.value: "resnet",
    Kind.VOLUME.value: "resnet3d",
    Kind.AUDIO.value: "audiocnn",
    Kind.TEXT.value: "textcnn",
    Kind.SERIES.value: "tcn",
}
"""The encoder of a kind of field, or of the table, unless another is asked for."""


class Part(BaseModel):
    """How one prepared array is encoded.

    Attributes:
        array: its name among the arrays of the front.
        encoder: registered name of the encoder.
        shape: of one row of the array.
        options: of the encoder.
        column: the field's column in the array ``present``; None where no row lacks it.
        disturbed: whether spectrograms are changed a little in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    array: str
    encoder: str
    shape: tuple[int, ...]
    options: dict[str, Any] = {}
    column: int | None = None
    disturbed: bool = False


class Plan(BaseModel):
    """How a network is built: enough to build it again, and JSON.

    Attributes:
        parts: the encoders, in the order of the arrays.
        present: position of the array ``present`` among the arrays; None where there is none.
        width: raw scores of a row.
        gated: whether the encodings of several fields pass gates before they are joined.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: tuple[Part, ...]
    present: int | None = None
    width: int
    gated: bool = True


class Network(nn.Module):
    """One encoder a prepared array, their encodings joined, then a linear head to raw scores.

    One field alone goes straight to the head; several are fused by their gates.
    ``center`` and ``scale`` turn the head's output into the target's unit (regression).

    Args:
        encoders: one a part, each with ``features``.
        features: their sum.
        width: raw scores of a row.
        columns: of each encoder its column in ``present``, or None where no row lacks it.
        present: position of the array ``present`` among those given to ``forward``.
        gated: whether encodings pass gates before they are joined.
    """

    center: Tensor
    scale: Tensor

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        features: int,
        width: int,
        columns: Sequence[int | None] | None = None,
        present: int | None = None,
        *,
        gated: bool = True,
    ) -> None:
        super().__init__()
        self.encoders, self.present = nn.ModuleList(encoders), present
        widths = [_width(encoder) for encoder in encoders]
        self.fusion: GatedFusion | None = None
        if len(widths) > 1 or present is not None:
            self.fusion = GatedFusion(widths, columns or [None] * len(widths), gated=gated)
        self.plan: Plan | None = None
        self.head = nn.Linear(features, width)
        self.register_buffer("center", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def forward(self, *arrays: Tensor) -> Tensor:
        given = list(arrays)
        present = None if self.present is None else given.pop(self.present)
        encodings = [encode(array) for encode, array in zip(self.encoders, given, strict=True)]
        fused = encodings[0] if self.fusion is None else self.fusion(encodings, present)
        scores: Tensor = self.head(fused)
        return scores * self.scale + self.center


def _width(encoder: nn.Module) -> int:
    features: Any = encoder[-1].features if isinstance(encoder, nn.Sequential) else encoder.features
    return int(features)


def plan_network(
    front: Front,
    shapes: Mapping[str, tuple[int, ...]],
    task: Task,
    encoders: Mapping[str, str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    disturb: bool = True,
) -> Plan:
    """Return the plan of a network over prepared arrays.

    Args:
        front: the preprocessing.
        shapes: of its arrays, rows first.
        task: what is predicted.
        encoders: names of encoders by field, by kind of field, or "table"; the field's own name
            goes first.
        options: options of these encoders, by the same names.
        disturb: whether spectrograms are changed a little in training.

    Raises:
        ConfigError: ``encoders`` names no field or kind, or no encoder.
    """
    chosen, asked = dict(encoders or {}), dict(options or {})
    fields = {part.source.name: part for part in front.fields}
    known = [*fields, *ENCODER_OF]
    for key in (*chosen, *asked):
        if key not in known:
            raise ConfigError(
                f"There is no field {key!r} to encode.{suggest(key, known)}",
                fix=f"Encoders are given for: {', '.join(known)}.",
            )
    for name in chosen.values():
        ENCODERS.get(name)
    parts = []
    for name in front.names:
        if name == PRESENT:
            continue
        field = fields.get(name)
        kind = "table" if field is None else field.source.kind.value
        default = chosen.get(kind, ENCODER_OF[kind])
        text = {"vocabulary": field.vocabulary} if isinstance(field, TextFront) else {}
        parts.append(
            Part(
                array=name,
                encoder=default if name == TABLE else chosen.get(name, default),
                shape=shapes[name][1:],
                options={**text, **asked.get(kind, {}), **asked.get(name, {})},
                column=front.optional.index(name) if name in front.optional else None,
                disturbed=disturb and kind == Kind.AUDIO.value,
            )
        )
    present = front.names.index(PRESENT) if PRESENT in front.names else None
    return Plan(parts=tuple(parts), present=present, width=objective_of(task).width(task))


def build_network(plan: Plan) -> Network:
    """Return an untrained network.

    Raises:
        ConfigError: an encoder does not take its array.
    """
    encoders = []
    for part in plan.parts:
        encoder: nn.Module = encoder_for(part.encoder, (-1, *part.shape), **part.options)
        encoders.append(nn.Sequential(Disturb(), encoder) if part.disturbed else encoder)
    features = sum(_width(encoder) for encoder in encoders)
    columns = [part.column for part in plan.parts]
    network = Network(encoders, features, plan.width, columns, plan.present, gated=plan.gated)
    network.plan = plan
    return network


def load_network(plan: Plan, weights: bytes) -> Network:
    """Return a trained network from its plan and its weights (safetensors)."""
    from safetensors.torch import load

    network = build_network(plan)
    network.load_state_dict(load(weights))
    return network.eval()
