"""Encoders of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from torch import Tensor, nn

from lepta.core.schema import Kind
from lepta.models.networks.encoders.base import (
    Encoder,
    Factor,
    Pyramid,
    Share,
    Size,
    longest,
    scaled,
)
from lepta.models.networks.encoders.residual import Residual


class VolumeEncoder(Encoder):
    """An encoder of volumes (rows, channels, depth, height, width) in [0, 1]."""

    kinds = (Kind.VOLUME,)
    axes = ("channels", "depth", "height", "width")
    smallest = (1, 4, 4, 4)

    @classmethod
    def build(cls, shape: Sequence[int], **options: Any) -> Self:
        _, channels, *size = shape
        return cls(channels, tuple(size), **options)


class ResidualCnn3d(VolumeEncoder, Residual):
    """A small residual network of 3D convolutions: stages of 16, 32 and 64 channels.

    As He et al. 2016 (arXiv:1512.03385), the convolutions taken to volumes by Hara et al. 2018
    (arXiv:1711.09577). Takes (rows, channels, depth, height, width) in [0, 1]; gives (rows, 128).
    """

    dims = 3

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
            channels, size, widths=(16, 32, 64), width=width, depth=depth, dropout=dropout
        )


class UNet3d(VolumeEncoder, Pyramid):
    """The contracting path of a 3D U-Net (Çiçek et al. 2016, arXiv:1606.06650).

    Four stages of two convolutions with 16, 32, 64 and 128 channels, a pool between them. Group
    normalisation (Wu & He 2018, arXiv:1803.08494) takes the place of batch normalisation, since
    batches of volumes are small. Takes (rows, channels, depth, height, width) in [0, 1]; gives
    (rows, 256). Stages that would leave less than 2 voxels on the longest side are left out.
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
        stages: list[nn.Module] = []
        widths: list[int] = []
        before = channels
        for position in range(4):
            if position and longest(size) <= 2**position:
                break
            after = scaled(16 * 2**position, width, 8)
            layers: list[nn.Module] = [nn.MaxPool3d(2, ceil_mode=True)] if position else []
            for step in range(scaled(2, depth)):
                layers += _convolution(after if step else before, after)
            stages.append(nn.Sequential(*layers))
            widths.append(after)
            before = after
        self.stages = nn.ModuleList(stages)
        self.dropout = nn.Dropout(dropout)
        self.channels = tuple(widths)
        self.strides = tuple(2**position for position in range(len(widths)))
        self.features = 2 * before

    def maps(self, volumes: Tensor) -> list[Tensor]:
        found, values = [], volumes - 0.5
        for stage in self.stages:
            values = stage(values)
            found.append(values)
        return found


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [
        nn.Conv3d(before, after, 3, 1, 1, bias=False),
        nn.GroupNorm(after // 8, after),
        nn.LeakyReLU(0.01),
    ]
