"""From the maps of an encoder back to the size of the image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lepta.models.networks.encoders.base import Pyramid
from lepta.models.networks.encoders.layers import ConvNorm


class Ascent(nn.Module):
    """Coarse maps joined step by step with finer ones, by two convolutions each.

    Takes the maps of a :class:`Pyramid`, the finest first, and gives one of the finest's size with
    ``widths[0]`` channels.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        before = channels[-1]
        steps: list[nn.Module] = []
        for skip, width in zip(channels[-2::-1], list(widths)[-2::-1], strict=True):
            joined = ConvNorm(before + skip, width, 3, activation=nn.ReLU)
            steps.append(nn.Sequential(joined, ConvNorm(width, width, 3, activation=nn.ReLU)))
            before = width
        self.steps = nn.ModuleList(steps)
        self.channels = before

    def forward(self, maps: list[Tensor]) -> Tensor:
        values = maps[-1]
        for step, skip in zip(self.steps, maps[-2::-1], strict=True):
            values = step(torch.cat([grown(values, skip), skip], 1))
        return values


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015, arXiv:1505.04597) over an encoder with maps.

    Takes images (rows, channels, height, width) in [0, 1]; gives logits (rows, classes, height,
    width). Logits of an encoder whose finest map is half the image are interpolated, which costs
    little precision and spares half of the time; below that the image itself, halved by a
    convolution, is the finest level.
    """

    def __init__(self, encoder: Pyramid, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        self.encoder = encoder
        given, widths = list(encoder.channels), [max(width, min(c, 128)) for c in encoder.channels]
        self.stem: nn.Module | None = None
        if encoder.strides[0] > 2:
            self.stem = ConvNorm(channels, width, 3, 2)
            given, widths = [width, *given], [width, *widths]
        self.ascent = Ascent(given, widths)
        self.head = nn.Conv2d(self.ascent.channels, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.encoder.maps(images)
        if self.stem is not None:
            maps = [self.stem(images - 0.5), *maps]
        logits: Tensor = self.head(self.ascent(maps))
        if logits.shape[2:] == images.shape[2:]:
            return logits
        return functional.interpolate(logits, size=images.shape[2:], mode="bilinear")


def grown(values: Tensor, like: Tensor) -> Tensor:
    """Return maps in the size of others, by the nearest value."""
    if values.shape[2:] == like.shape[2:]:
        return values
    return functional.interpolate(values, size=like.shape[2:], mode="nearest")
