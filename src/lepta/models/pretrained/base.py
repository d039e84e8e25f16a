"""Pretrained networks by name: in torch to be trained on, or as ONNX graphs that stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from lepta.core.events import Context
from lepta.core.registry import Registry
from lepta.core.schema import Kind
from lepta.data.cache import kept

if TYPE_CHECKING:
    from torch import nn

    from lepta.models.networks.encoders.base import Pyramid

Pooling = Literal["auto", "mean", "cls"]
"""How vectors of tokens or patches become one: their mean, or that of the class token, the first.
"auto" is the mean, but the class token's for models of images that have one."""

BACKBONES = Registry(
    "lepta.backbones",
    "backbone",
    {
        "efficientnet-lite0": "lepta.models.pretrained.efficientnet:efficientnet_lite0",
        "minilm": "lepta.models.pretrained.minilm:minilm",
    },
)
"""Functions that return a :class:`Pretrained`, by name."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A network and what belongs to it.

    Attributes:
        name: how it was asked for.
        kind: of the fields that it takes.
        network: images (rows, 3, size, size), RGB in [0, 1], or token ids (rows, length), 0 at
            the end where there is none, to (rows, features).
        stages: its parts from the input to the output, to be trained on from the end.
        features: numbers that it gives a row.
        levels: the features by depth, as (first, last + 1) columns.
        size: height and width of its images.
        tokenizer: of its texts, in the JSON form of the package ``tokenizers``.
        length: most tokens of a text.
        pyramid: its maps, from (rows, channels, height, width) of the images; None without maps.
    """

    name: str
    kind: Kind
    network: nn.Module = field(repr=False)
    stages: tuple[tuple[nn.Module, ...], ...] = field(repr=False)
    features: int
    levels: dict[str, tuple[int, int]]
    size: int = 224
    tokenizer: bytes = field(default=b"", repr=False)
    length: int = 256
    pyramid: Callable[[Sequence[int]], Pyramid] | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Backbone:
    """A pretrained network that stays as it is.

    Attributes:
        source: the network in torch and what belongs to it.
        model: graph from images or token ids to (rows, features).
        asked: what :func:`get_backbone` was asked for; pickled in place of the weights. None
            for weights of one's own.
    """

    source: Pretrained
    model: ModelProto = field(repr=False)
    asked: tuple[str, Pooling, int] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self.asked is None:
            return Backbone, (self.source, self.model)
        return get_backbone, self.asked

    @property
    def name(self) -> str:
        """How it was asked for."""
        return self.source.name

    @property
    def size(self) -> int:
        """Height and width of its images, which are RGB in [0, 1]."""
        return self.source.size

    @property
    def levels(self) -> dict[str, tuple[int, int]]:
        """The features by depth, as (first, last + 1) columns."""
        return self.source.levels


def pretrained(name: str, pooling: Pooling = "auto") -> Pretrained:
    """Return a pretrained network, its weights as published.

    Args:
        name: a registered name; else a folder, or "organisation/model" on the Hugging Face hub.
        pooling: how vectors of tokens or patches of a Hugging Face model become one.

    Raises:
        MissingExtraError: the package that carries or loads the weights is not installed.
        ConfigError: there is no backbone of that name.
        TrainError: the weights cannot be had, are pickled, or are not the published ones.
    """
    if "/" in name or Path(name).is_dir():
        from lepta.models.pretrained.huggingface import hugging_face

        return hugging_face(name, pooling)
    load: Callable[[], Pretrained] = BACKBONES.get(name)
    return load()


@lru_cache(maxsize=2)
def get_backbone(name: str, pooling: Pooling = "auto", length: int = 0) -> Backbone:
    """Return a backbone that stays as it is; see :func:`pretrained`.

    ``length`` is the number of tokens that one of texts reads.
    """
    return replace(frozen(pretrained(name, pooling), length), asked=(name, pooling, length))


def frozen(source: Pretrained, length: int = 0) -> Backbone:
    """Return a pretrained network that stays as it is; see :func:`get_backbone`.

    Its graph is kept in the cache, for torch takes seconds to export one.
    """
    import torch

    from lepta.models.networks.export import network_to_onnx

    if source.kind == Kind.IMAGE:
        example = torch.zeros(2, 3, source.size, source.size)
    else:
        example = torch.ones(2, length or source.length, dtype=torch.int64)

    def export() -> NDArray[np.uint8]:
        return np.frombuffer(network_to_onnx(source.network, [example]).SerializeToString(), "u1")

    graph = kept("backbones", _made_of(source, example.shape), export, Context())
    return Backbone(source, ModelProto.FromString(graph.tobytes()))


def _made_of(source: Pretrained, shape: Sequence[int]) -> Iterator[bytes]:
    """Yield all that the graph of a network follows from: weights, layers, code, libraries."""
    import onnxscript
    import torch

    yield repr((torch.__version__, onnxscript.__version__, tuple(shape))).encode()
    yield str(source.network).encode()
    for path in sorted(Path(__file__).parents[1].glob("*/*.py")):
        if path.parent.name in ("pretrained", "networks"):
            yield path.read_bytes()
    for name, tensor in source.network.state_dict().items():
        yield name.encode()
        yield np.ascontiguousarray(tensor.detach().cpu().float().numpy()).tobytes()
