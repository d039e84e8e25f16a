"""Networks of MONAI (Cardoso et al. 2022, arXiv:2211.02701) as encoders of volumes.

MONAI is imported when one is built; it needs no torchvision for these.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import Tensor, nn

from lepta.core.errors import missing_extra
from lepta.models.networks.encoders.base import Factor, Pyramid, Share, Size, longest, scaled
from lepta.models.networks.encoders.volumes import VolumeEncoder


def _network(module: str, name: str) -> Any:
    try:
        return getattr(import_module(f"monai.networks.nets.{module}"), name)
    except ModuleNotFoundError as error:
        raise missing_extra("monai", "monai", "An encoder of MONAI") from error


class DenseNet121(VolumeEncoder):
    """MONAI's DenseNet-121 (Huang et al. 2017, arXiv:1608.06993) of 3D convolutions.

    Takes (rows, channels, depth, height, width) in [0, 1], each side 32 voxels at the least; gives
    (rows, 1024).
    """

    smallest = (1, 32, 32, 32)

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        network = _network("densenet", "DenseNet")(
            spatial_dims=3,
            in_channels=channels,
            out_channels=1,
            init_features=scaled(64, width, 8),
            growth_rate=scaled(32, width, 4),
            block_config=[scaled(count, depth) for count in (6, 12, 24, 16)],
            dropout_prob=dropout,
        )
        self.features = network.class_layers.out.in_features
        network.class_layers.out = nn.Identity()
        self.body = network

    def forward(self, volumes: Tensor) -> Tensor:
        encoded: Tensor = self.body(volumes - 0.5)
        return encoded


class SegResNet(VolumeEncoder, Pyramid):
    """The encoder of MONAI's SegResNet (Myronenko 2018, arXiv:1810.11654), with its maps.

    Stages of 1, 2, 2 and 4 blocks with 16, 32, 64 and 128 channels; those that would leave less
    than 2 voxels on the longest side are left out. Takes (rows, channels, depth, height, width) in
    [0, 1]; gives (rows, 256).
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
        counts = [
            scaled(count, depth)
            for position, count in enumerate((1, 2, 2, 4))
            if position == 0 or longest(size) > 2**position
        ]
        first = scaled(16, width, 8)
        network = _network("segresnet", "SegResNet")(
            spatial_dims=3,
            init_filters=first,
            in_channels=channels,
            blocks_down=counts,
            blocks_up=[1] * (len(counts) - 1),
        )
        self.stem, self.stages = network.convInit, network.down_layers
        self.dropout = nn.Dropout(dropout)
        self.channels = tuple(first * 2**position for position in range(len(counts)))
        self.strides = tuple(2**position for position in range(len(counts)))
        self.features = 2 * self.channels[-1]

    def maps(self, volumes: Tensor) -> list[Tensor]:
        found, values = [], self.stem(volumes - 0.5)
        for stage in self.stages:
            values = stage(values)
            found.append(values)
        return found
