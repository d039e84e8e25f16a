"""Networks of inverted residual blocks, made for devices: MobileNetV2 and EfficientNet-Lite0."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from lepta.models.networks.encoders.base import Factor, Share, Size, scaled
from lepta.models.networks.encoders.layers import ConvNorm, DropPath
from lepta.models.networks.encoders.staged import Staged, fitting_strides


class _Row(NamedTuple):
    """One line of the tables in the papers."""

    kernel: int
    expansion: int
    channels: int
    blocks: int
    stride: int


class InvertedResidual(nn.Module):
    """Expand by a 1x1 convolution, filter each channel, project without an activation."""

    def __init__(
        self, before: int, after: int, row: _Row, stride: int, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        hidden = before * row.expansion
        layers: list[nn.Module] = []
        if row.expansion != 1:
            layers.append(ConvNorm(before, hidden, 1, activation=nn.ReLU6))
        layers += [
            ConvNorm(hidden, hidden, row.kernel, stride, groups=hidden, activation=nn.ReLU6),
            ConvNorm(hidden, after, 1, activation=None),
        ]
        self.body = nn.Sequential(*layers)
        self.drop = DropPath(drop_path)
        self.joined = stride == 1 and before == after

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.body(images)
        return images + self.drop(out) if self.joined else out


class MobileNetV2(Staged):
    """MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381).

    Takes (rows, channels, height, width) in [0, 1]; gives (rows, 1280). ``width`` is the paper's
    multiplier (0.35, 0.5, 0.75, 1, 1.4), which leaves the last 1280 channels where it is below 1.
    The first strides are left out for images that would shrink below 4 pixels.
    """

    stem: ClassVar[int] = 32
    rows: ClassVar[tuple[_Row, ...]] = (
        _Row(3, 1, 16, 1, 1),
        _Row(3, 6, 24, 2, 2),
        _Row(3, 6, 32, 3, 2),
        _Row(3, 6, 64, 4, 2),
        _Row(3, 6, 96, 3, 1),
        _Row(3, 6, 160, 3, 2),
        _Row(3, 6, 320, 1, 1),
    )

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.2,
        drop_path: Share = 0.0,
    ) -> None:
        super().__init__()
        strides = fitting_strides(size, (2, *(row.stride for row in self.rows)))
        before = scaled(self.stem, width, 8)
        stages: list[nn.Module] = [ConvNorm(channels, before, 3, strides[0], activation=nn.ReLU6)]
        shapes = [(strides[0], before)]
        for row, stride in zip(self.rows, strides[1:], strict=True):
            after = scaled(row.channels, width, 8)
            blocks = [InvertedResidual(before, after, row, stride, drop_path)]
            more = range(scaled(row.blocks, depth) - 1)
            blocks += [InvertedResidual(after, after, row, 1, drop_path) for _ in more]
            stages.append(nn.Sequential(*blocks))
            shapes.append((stride, after))
            before = after
        self.features = scaled(1280, max(1.0, width), 8)
        head = (ConvNorm(before, self.features, 1, activation=nn.ReLU6), nn.AdaptiveAvgPool2d(1))
        self.assemble(stages, shapes, nn.Sequential(*head, nn.Flatten()), dropout)


class EfficientNetLite0(MobileNetV2):
    """EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6.

    Tan & Le 2019 (arXiv:1905.11946); the Lite variant as published with TensorFlow's EfficientNet.
    Takes (rows, channels, height, width) in [0, 1]; gives (rows, 1280). The first strides are left
    out for images that would shrink below 4 pixels.
    """

    rows = (
        _Row(3, 1, 16, 1, 1),
        _Row(3, 6, 24, 2, 2),
        _Row(5, 6, 40, 2, 2),
        _Row(3, 6, 80, 3, 2),
        _Row(5, 6, 112, 3, 1),
        _Row(5, 6, 192, 4, 2),
        _Row(3, 6, 320, 1, 1),
    )
