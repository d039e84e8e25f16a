"""The reference CNN and residual networks for images."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lepta.models.networks.encoders.base import (
    Count,
    Factor,
    ImageEncoder,
    Pyramid,
    Share,
    Size,
    longest,
    pair,
    scaled,
)
from lepta.models.networks.encoders.layers import ConvNorm


class ReferenceCnn(ImageEncoder):
    """Conv 32 3x3, pool, conv 64 3x3, pool, flatten, dense 64 (the usual first CNN).

    Takes (rows, channels, height, width) in [0, 1]; gives (rows, 64). More ``depth`` repeats the
    second stage, as long as the image lasts.
    """

    smallest = (1, 10, 10)

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
        height, breadth = pair(size)
        layers: list[nn.Module] = []
        for stage in range(scaled(2, depth)):
            if min(height, breadth) < 4:
                break
            after = scaled(32 if stage == 0 else 64, width)
            layers += [nn.Conv2d(channels, after, 3), nn.ReLU(), nn.MaxPool2d(2)]
            channels, height, breadth = after, (height - 2) // 2, (breadth - 2) // 2
        self.features = scaled(64, width)
        self.body = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels * height * breadth, self.features),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        encoded: Tensor = self.body(images - 0.5)
        return encoded


Block = Literal["basic", "plain", "separable"]
"""Two convolutions with a residual connection (He et al. 2016, arXiv:1512.03385); the same without
it; or each convolution in two, one a channel and one a pixel (Chollet 2017, arXiv:1610.02357)."""
BASIC: Block = "basic"
Kernel = Literal[3, 5, 7]
"""Side of a convolution in pixels."""


class _Block(nn.Module):
    """Two convolutions, joined with their input unless ``kind`` is "plain"; see :data:`Block`."""

    def __init__(
        self,
        before: int,
        after: int,
        stride: int,
        dims: int,
        kernel: int = 3,
        kind: Block = "basic",
    ) -> None:
        super().__init__()
        convolve = _separable if kind == "separable" else ConvNorm
        self.body = nn.Sequential(
            *convolve(before, after, kernel, stride, dims=dims),
            *convolve(after, after, kernel, dims=dims, activation=None),
        )
        self.joined = kind != "plain"
        self.skip: nn.Module = nn.Identity()
        if self.joined and (stride != 1 or before != after):
            self.skip = ConvNorm(before, after, 1, stride, dims=dims, activation=None)

    def forward(self, images: Tensor) -> Tensor:
        branch: Tensor = self.body(images)
        return torch.relu(branch + self.skip(images) if self.joined else branch)


def _separable(
    before: int,
    after: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    dims: int = 2,
    activation: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Return a convolution a channel and one a pixel, in the place of a :class:`ConvNorm`."""
    channel = ConvNorm(before, before, kernel, stride, groups=before, dims=dims, activation=None)
    return nn.Sequential(*channel, *ConvNorm(before, after, 1, dims=dims, activation=activation))


class Residual(Pyramid):
    """A stem and stages of residual blocks; ends in mean and maximum over the image, joined.

    Gives (rows, 2 * widths[-1]). Images above 48 pixels are halved by the first convolution.
    ``widths`` are the channels of the stages, each half as fine as the one before; ``blocks`` is
    how many blocks each has; ``pool`` halves images once more before the first. Blocks have
    convolutions of ``kernel`` pixels and are made as ``block`` says.
    """

    dims: ClassVar[int] = 2

    def __init__(  # noqa: PLR0913
        self,
        channels: int,
        size: Size,
        *,
        widths: tuple[int, ...] = (24, 48, 96),
        blocks: Count = 1,
        kernel: Kernel = 3,
        block: Block = BASIC,
        pool: bool = False,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.2,
    ) -> None:
        super().__init__()
        stride = 2 if longest(size) > 48 else 1
        widths = tuple(scaled(channel, width) for channel in widths)
        self.blocks = scaled(blocks, depth)
        layers: list[nn.Module] = [*ConvNorm(channels, widths[0], 3, stride, dims=self.dims)]
        if pool:
            layers.append(nn.MaxPool2d(3, 2, 1))
        self.stem = len(layers)
        for before, after in zip((widths[0], *widths), widths, strict=False):
            step = 1 if len(layers) == self.stem else 2
            steps = [(before, step), *[(after, 1)] * (self.blocks - 1)]
            layers += [_Block(n, after, s, self.dims, kernel, block) for n, s in steps]
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.features = 2 * widths[-1]
        self.channels = widths
        first = 2 * stride if pool else stride
        self.strides = tuple(first * 2**stage for stage in range(len(widths)))

    def maps(self, images: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        values = images - 0.5
        for position, layer in enumerate(self.body):
            values = layer(values)
            done = position + 1 - self.stem
            if done > 0 and done % self.blocks == 0:
                found.append(values)
        return found


class ResidualCnn(ImageEncoder, Residual):
    """A small residual network: stages of 24, 48 and 96 channels.

    Takes (rows, channels, height, width) in [0, 1]; gives (rows, 192).
    """


class ResNet18(ResidualCnn):
    """ResNet-18 (He et al. 2016, arXiv:1512.03385) with the stem of small images.

    A 3x3 convolution takes the place of the 7x7 one, and only images above 96 pixels are pooled
    before the four stages of two blocks with 64 to 512 channels. Takes (rows, channels, height,
    width) in [0, 1]; gives (rows, 1024).
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
        super().__init__(
            channels,
            size,
            widths=(64, 128, 256, 512),
            blocks=2,
            pool=longest(size) > 96,
            width=width,
            depth=depth,
            dropout=dropout,
        )
