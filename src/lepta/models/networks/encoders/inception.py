"""Inception for images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lepta.models.networks.encoders.base import Factor, Share, Size, scaled
from lepta.models.networks.encoders.layers import ConvNorm
from lepta.models.networks.encoders.staged import Staged, fitting_strides

_STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
"""Channels of each module: 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; projection of the pool."""


class _Module(nn.Module):
    """Convolutions of 1, 3 and 5 pixels and a pool side by side, joined."""

    def __init__(self, before: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        one, three_in, three, five_in, five, pooled = widths
        self.branches = nn.ModuleList(
            [
                ConvNorm(before, one, 1),
                nn.Sequential(ConvNorm(before, three_in, 1), ConvNorm(three_in, three, 3)),
                nn.Sequential(ConvNorm(before, five_in, 1), ConvNorm(five_in, five, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvNorm(before, pooled, 1)),
            ]
        )

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([branch(images) for branch in self.branches], 1)


class Inception(Staged):
    """GoogLeNet (Szegedy et al. 2015, arXiv:1409.4842) with half of its channels.

    Batch normalisation as Ioffe & Szegedy 2015 (arXiv:1502.03167); ``width=2`` has all channels.
    Takes (rows, channels, height, width) in [0, 1]; gives (rows, 512). The first strides are left
    out for images that would shrink below 4 pixels.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.2,
    ) -> None:
        super().__init__()
        strides = fitting_strides(size, (2, 2, 2, 2, 2))
        first, before = scaled(32, width, 4), scaled(96, width, 4)
        stages: list[nn.Module] = [
            ConvNorm(channels, first, 7 if strides[0] == 2 else 3, strides[0]),
            nn.Sequential(*_pool(strides[1]), ConvNorm(first, first, 1), ConvNorm(first, before)),
        ]
        shapes = [(strides[0], first), (strides[1], before)]
        for table, stride in zip(_STAGES, strides[2:], strict=True):
            modules: list[nn.Module] = _pool(stride)
            for position in range(scaled(len(table), depth)):
                row = table[min(position, len(table) - 1)]
                widths = tuple(scaled(channel, width / 2, 4) for channel in row)
                modules.append(_Module(before, widths))
                before = widths[0] + widths[2] + widths[4] + widths[5]
            stages.append(nn.Sequential(*modules))
            shapes.append((stride, before))
        self.features = before
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.assemble(stages, shapes, head, dropout)


def _pool(stride: int) -> list[nn.Module]:
    return [nn.MaxPool2d(3, stride, 1)] if stride > 1 else []
