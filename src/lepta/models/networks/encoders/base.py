"""What an encoder is, and how one is made by name."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self, get_type_hints

import torch
from pydantic import Field, create_model
from torch import Tensor, nn

from lepta.core.config import Config
from lepta.core.errors import ConfigError
from lepta.core.registry import Registry
from lepta.core.schema import Kind
from lepta.models.networks.encoders.layers import mean_and_max

_HOME = "lepta.models.networks.encoders"

ENCODERS = Registry(
    "lepta.encoders",
    "encoder",
    {
        "cnn": f"{_HOME}.residual:ReferenceCnn",
        "resnet": f"{_HOME}.residual:ResidualCnn",
        "resnet18": f"{_HOME}.residual:ResNet18",
        "mobilenetv2": f"{_HOME}.mobile:MobileNetV2",
        "efficientnet-lite0": f"{_HOME}.mobile:EfficientNetLite0",
        "inception": f"{_HOME}.inception:Inception",
        "convnext": f"{_HOME}.convnext:ConvNeXt",
        "vit": f"{_HOME}.vit:VisionTransformer",
        "resnet3d": f"{_HOME}.volumes:ResidualCnn3d",
        "unet3d": f"{_HOME}.volumes:UNet3d",
        "monai:densenet121": f"{_HOME}.monai:DenseNet121",
        "monai:segresnet": f"{_HOME}.monai:SegResNet",
        "textcnn": f"{_HOME}.text:TextCnn",
        "bilstm": f"{_HOME}.text:BiLstm",
        "transformer": f"{_HOME}.text:TextTransformer",
        "audiocnn": f"{_HOME}.audio:AudioCnn",
        "audiotransformer": f"{_HOME}.audio:AudioTransformer",
        "tcn": f"{_HOME}.series:Tcn",
        "gru": f"{_HOME}.series:Gru",
        "lstm": f"{_HOME}.series:Lstm",
        "patchtst": f"{_HOME}.series:PatchTst",
        "mlp": f"{_HOME}.tables:TableMlp",
        "realmlp": f"{_HOME}.tables:RealMlp",
        "tabm": f"{_HOME}.tables:TabM",
        "fttransformer": f"{_HOME}.tables:FtTransformer",
    },
)
"""Every encoder, by name."""

Factor = Annotated[float, Field(gt=0, le=16)]
"""Multiplies a default size; 1 is the default."""
Share = Annotated[float, Field(ge=0, lt=1)]
"""A share of values, such as those that dropout drops."""
Count = Annotated[int, Field(ge=1)]
"""A whole number from one."""
Size = int | tuple[int, ...]
"""Lengths of images (height, width) or volumes in pixels, or one number for all of them."""


class Encoder(nn.Module, ABC):
    """An array of one field to a vector of ``features`` numbers a row.

    The keyword arguments of a constructor are its options; each has a default, except a size that
    only the data knows. Every encoder has ``width`` and ``depth``: they multiply its channels and
    its blocks, and 1 is what its docstring describes.

    Attributes:
        features: how many numbers ``forward`` gives a row.
        kinds: the kinds of field it is for.
        axes: what the axes of its input are, rows left out.
        dtype: of its input.
        smallest: lengths of the axes that it needs at the least.
    """

    kinds: ClassVar[tuple[Kind, ...]]
    axes: ClassVar[tuple[str, ...]]
    smallest: ClassVar[tuple[int, ...]]
    dtype: ClassVar[torch.dtype] = torch.float32
    features: int

    @classmethod
    @abstractmethod
    def build(cls, shape: Sequence[int], **options: Any) -> Self:
        """Return an encoder for arrays of ``shape`` (rows first; their number is not read)."""

    @abstractmethod
    def forward(self, values: Tensor) -> Tensor:
        """Return (rows, features) for an array of the shape built for."""


class Pyramid(Encoder):
    """An encoder whose intermediate maps serve too: for segmentation and detection.

    Its features are a summary of the coarsest map.

    Attributes:
        strides: how many input pixels one step in each map is, finest map first.
        channels: channels of each map.
        dropout: what features pass at the end.
    """

    strides: tuple[int, ...]
    channels: tuple[int, ...]
    dropout: nn.Module

    @abstractmethod
    def maps(self, values: Tensor) -> list[Tensor]:
        """Return maps (rows, channels, size / stride rounded up, ...), the finest first."""

    def summary(self, coarsest: Tensor) -> Tensor:
        """Return (rows, features) of the coarsest map: mean and maximum, joined."""
        features: Tensor = self.dropout(mean_and_max(coarsest))
        return features

    def forward(self, values: Tensor) -> Tensor:
        return self.summary(self.maps(values)[-1])


class ImageEncoder(Encoder):
    """An encoder of images (rows, channels, height, width) in [0, 1]."""

    kinds = (Kind.IMAGE,)
    axes = ("channels", "height", "width")
    smallest = (1, 8, 8)

    @classmethod
    def build(cls, shape: Sequence[int], **options: Any) -> Self:
        _, channels, height, width = shape
        return cls(channels, (height, width), **options)


def encoder_for(name: str, shape: Sequence[int], **options: Any) -> Encoder:
    """Return the encoder called ``name``, untrained, for arrays of ``shape`` (rows first).

    Raises:
        ConfigError: no such encoder, no such option, an option that does not validate, or an array
            that the encoder does not take.
    """
    kind: type[Encoder] = ENCODERS.get(name)
    _check_shape(name, kind, shape)
    return kind.build(shape, **_check_options(name, kind, options))


def encoders_for(kind: Kind) -> tuple[str, ...]:
    """Return the names of the encoders for a kind of field, sorted."""
    return tuple(name for name in ENCODERS.names() if kind in ENCODERS.get(name).kinds)


def pair(size: Size) -> tuple[int, int]:
    """Return height and width of images."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def longest(size: Size) -> int:
    """Return the longest side of images or volumes."""
    return size if isinstance(size, int) else max(size)


def scaled(default: int, factor: float, multiple: int = 1) -> int:
    """Return ``default`` times ``factor``, to the nearest ``multiple``, at the least one of it."""
    return max(multiple, round(default * factor / multiple) * multiple)


def _check_shape(name: str, kind: type[Encoder], shape: Sequence[int]) -> None:
    takes = ", ".join(("rows", *kind.axes))
    if len(shape) != len(kind.axes) + 1:
        raise ConfigError(
            f"The encoder {name!r} takes arrays ({takes}); these have the shape {tuple(shape)}.",
            fix=f"Choose it for fields of the kind {' or '.join(kind.kinds)} only.",
        )
    for axis, length, least in zip(kind.axes, shape[1:], kind.smallest, strict=True):
        if length < least:
            raise ConfigError(
                f"The encoder {name!r} needs {axis} of {least} at the least; here it is {length}.",
                fix="Prepare larger arrays, or choose another encoder: "
                f"{', '.join(other for other in encoders_for(kind.kinds[0]) if other != name)}.",
            )


def _check_options(name: str, kind: type[Encoder], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options, validated by the annotations of the constructor."""
    hints = get_type_hints(kind.__init__, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (hints[parameter.name], default)
    model: type[Config] = create_model("Options", __base__=Config, **fields)
    try:
        return dict(model.parse(options))
    except ConfigError as error:
        known = ", ".join(model.model_fields)
        raise ConfigError(
            f"Options of the encoder {name!r}: {error.what}", fix=f"Its options: {known}."
        ) from error
