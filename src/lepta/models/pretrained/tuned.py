"""A pretrained network with a head, to be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lepta.models.pretrained.base import Pretrained


class Tuned(nn.Module):
    """A pretrained network and a linear head, over one prepared field and the table.

    Statistics of batch normalisation stay those of pretraining, which suits small batches.

    Args:
        source: the pretrained network; its weights are changed.
        table: columns of the prepared table, 0 for none.
        width: raw scores a row.
        decay: by how much each stage's learning rate is less than the next one's.
        ratio: rate of the last stage, as a share of the head's.
        dropout: share of the features that is dropped in training.
        mirror: whether features of an image are means over it and its mirror image, once trained.
    """

    center: Tensor
    scale: Tensor
    shift: Tensor
    spread: Tensor

    def __init__(
        self,
        source: Pretrained,
        table: int,
        width: int,
        *,
        decay: float,
        ratio: float,
        dropout: float,
        mirror: bool = False,
    ) -> None:
        super().__init__()
        self.mirror = mirror
        self.network = source.network
        self.stages, self.decay, self.ratio = source.stages, decay, ratio
        self.table = table
        self.dropout = nn.Dropout(dropout)
        features = table + source.features
        self.head = nn.Linear(features, width)
        self.register_buffer("shift", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("center", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.unfreeze(0)

    def unfreeze(self, depth: int) -> None:
        """Let the last ``depth`` stages learn, and no other."""
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)
        for stage in self.stages[max(0, len(self.stages) - depth) :]:
            for module in stage:
                module.requires_grad_(True)

    def train(self, mode: bool = True) -> Tuned:
        super().train(mode)
        hold_statistics(self.network)
        return self

    def forward(self, *arrays: Tensor) -> Tensor:
        scores: Tensor = self.head(self.dropout(self.normalised(*arrays)))
        return scores * self.scale + self.center

    def encode(self, *arrays: Tensor) -> Tensor:
        """Return the features (rows, table + features) that the head reads, before scaling."""
        values = arrays[-1]
        if values.ndim == 4:
            values = values.expand(-1, 3, -1, -1) if values.shape[1] == 1 else values[:, :3]
        encoded: Tensor = self.network(values)
        if self.mirror and not self.training and values.ndim == 4:
            encoded = (encoded + self.network(values.flip(3))) / 2
        return torch.cat([arrays[0], encoded], 1) if self.table else encoded

    def normalised(self, *arrays: Tensor) -> Tensor:
        """Return the features with mean 0 and deviation 1, as the training rows had them."""
        return (self.encode(*arrays) - self.shift) / self.spread

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return what learns, with the share of the learning rate by which it does."""
        groups: list[dict[str, Any]] = [{"params": list(self.head.parameters()), "scale": 1.0}]
        share = self.ratio
        for stage in reversed(self.stages):
            learning = [p for module in stage for p in module.parameters() if p.requires_grad]
            if learning:
                groups.append({"params": learning, "scale": share})
            share *= self.decay
        held = {id(parameter) for group in groups for parameter in group["params"]}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in held]
        return [*groups, {"params": rest, "scale": self.ratio}] if rest else groups

    @torch.no_grad()
    def begin(
        self,
        shift: NDArray[np.float32],
        spread: NDArray[np.float32],
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
    ) -> None:
        """Start from a head over features from which ``shift`` is taken, divided by ``spread``.

        Args:
            shift: (features,).
            spread: (features,).
            weights: (features, width).
            bias: (width,).
        """
        self.shift.copy_(torch.tensor(shift))
        self.spread.copy_(torch.tensor(spread))
        self.head.weight.copy_(torch.tensor(weights.T))
        self.head.bias.copy_(torch.tensor(bias))


def hold_statistics(network: nn.Module) -> None:
    """Keep the statistics of batch normalisation, although the network is being trained."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


@torch.no_grad()
def encode(network: Tuned, arrays: Sequence[NDArray[Any]], rows: int = 32) -> NDArray[np.float32]:
    """Return the features (rows, features) of prepared arrays, a few rows at a time."""
    network.eval()
    starts = range(0, len(arrays[0]), rows)
    pieces = [[torch.tensor(array[begin : begin + rows]) for array in arrays] for begin in starts]
    return np.concatenate([network.encode(*piece).numpy() for piece in pieces])
