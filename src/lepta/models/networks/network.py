"""A network over all fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lepta.models.front import Front
from lepta.models.front.front import TABLE
from lepta.models.networks.encoders import ReferenceCnn, ResidualCnn, TableMlp
from lepta.tasks import Task
from lepta.tasks.objective import objective_of

ImageEncoder = Literal["cnn", "resnet"]


class Network(nn.Module):
    """One encoder a prepared array, concatenated, then a linear head to raw scores.

    ``center`` and ``scale`` turn the head's output into the target's unit (regression).
    """

    center: Tensor
    scale: Tensor

    def __init__(self, encoders: Sequence[nn.Module], features: int, width: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.head = nn.Linear(features, width)
        self.register_buffer("center", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def forward(self, *arrays: Tensor) -> Tensor:
        parts = [encode(array) for encode, array in zip(self.encoders, arrays, strict=True)]
        scores: Tensor = self.head(torch.cat(parts, 1) if len(parts) > 1 else parts[0])
        return scores * self.scale + self.center


def _width(encoder: nn.Module) -> int:
    features: Any = encoder.features
    return int(features)


def build_network(
    front: Front, shapes: Mapping[str, tuple[int, ...]], task: Task, image: ImageEncoder
) -> Network:
    """Return an untrained network for prepared arrays of ``shapes`` (rows first)."""
    encoders: list[nn.Module] = []
    for name in front.names:
        _, columns, *rest = shapes[name]
        if name == TABLE:
            encoders.append(TableMlp(columns))
        elif image == "cnn":
            encoders.append(ReferenceCnn(columns, rest[0]))
        else:
            encoders.append(ResidualCnn(columns, rest[0]))
    features = sum(_width(encoder) for encoder in encoders)
    return Network(encoders, features, objective_of(task).width(task))
