"""Images of any size to one float32 array (rows, channels, size, size) in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import InputSpec
from lepta.core.errors import DataError, Where
from lepta.core.schema import Field
from lepta.models.front.base import MediaFront, sample_of
from lepta.models.graph import Graph
from lepta.models.pretrained import Backbone

if TYPE_CHECKING:
    from lepta.data import Dataset

Window = tuple[float, float]
HU_WINDOWS: tuple[Window, ...] = ((-1000.0, 1000.0), (-160.0, 240.0), (-1350.0, 150.0))
"""Whole range, soft tissue (level 40, width 400) and lung (level -600, width 1500), in HU."""
MAX_SIZE = 128


@dataclass(frozen=True)
class ImageOptions:
    """How images are prepared.

    Attributes:
        size: height and width given to the model; None chooses by the images, at most 128.
        windows: intensity windows (low, high), one channel each, for images in physical units;
            None chooses: three usual CT windows for HU, else the 0.1 to 99.9 % range.
        backbone: a pretrained network that turns images into features, or None.
    """

    size: int | None = None
    windows: tuple[Window, ...] | None = None
    backbone: Backbone | None = None


@dataclass(frozen=True, eq=False)
class ImageFront(MediaFront):
    """Fitted preprocessing of one image field.

    ``mirror`` flips images left to right: training data may be seen both ways.
    """

    dtype: str
    channels: int
    size: int
    windows: tuple[Window, ...]
    backbone: Backbone | None = None
    mirror: bool = False

    @classmethod
    def fit(
        cls, data: Dataset, source: Field, tensor: str, optional: bool, options: ImageOptions
    ) -> ImageFront:
        """Choose size and intensity windows from a sample of decoded images (H, W, C)."""
        sample = sample_of(data, source.name)
        dtype = array_type(sample)
        side = int(np.median([max(image.shape[:2]) for image in sample]))
        size = options.size or int(np.clip(-(-side // 8) * 8, 16, MAX_SIZE))
        if options.backbone is not None:
            size = options.backbone.size
        return cls(
            source=source,
            tensor=tensor,
            optional=optional,
            decoder=data.decoders.get(source.name) or decoder_like(sample),
            dtype=str(dtype),
            channels=_channels(source, sample),
            size=size,
            windows=tuple(options.windows or windows_of(sample, dtype, source.unit)),
            backbone=options.backbone,
        )

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the prepared array, rows first."""
        if self.backbone is not None:
            return (-1, self.backbone.source.features)
        return (-1, self.channels * len(self.windows), self.size, self.size)

    @property
    def input(self) -> InputSpec:
        """The public input field."""
        return InputSpec(
            name=self.source.name,
            kind=self.source.kind,
            dtype=self.dtype,
            shape=(-1, -1, -1, self.channels),
            unit=self.source.unit,
            decoder=self.decoder[0],
            options=self.decoder[1],
            required=not self.optional,
        )

    def emit(self, graph: Graph, tensor: str) -> str:
        """Add the nodes; return the name of the array (rows, channels, size, size) or features."""
        pixels = graph.op("Cast", tensor, to=1)
        if self.dtype == "float32":
            pixels = emit_known(graph, pixels, self.windows)
        values = graph.op("Transpose", pixels, perm=[0, 3, 1, 2])
        small = self._resize(graph, values)
        parts = [emit_window(graph, small, low, high) for low, high in self.windows]
        if self.backbone is not None:
            return self._features(graph, parts)
        return graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]

    def _resize(self, graph: Graph, values: str) -> str:
        shape = graph.op("Shape", values, end=2)
        side = graph.const([self.size, self.size], "int64")
        small = graph.op(
            "Resize",
            values,
            "",
            "",
            graph.op("Concat", shape, side, axis=0),
            mode="linear",
            antialias=1,
            coordinate_transformation_mode="half_pixel",
        )
        if not self.mirror:
            return small
        ends = [graph.const([end], "int64") for end in (-1, np.iinfo(np.int64).min, 3, -1)]
        return graph.op("Slice", small, *ends)

    def _features(self, graph: Graph, parts: list[str]) -> str:
        assert self.backbone is not None  # noqa: S101
        if self.channels * len(parts) == 1:
            parts = parts * 3
        joined = graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        rgb = graph.op("Gather", joined, graph.const([0, 1, 2], "int64"), axis=1)
        name = self.backbone.model.graph.input[0].name
        (features,) = graph.embed(self.backbone.model, {name: rgb})
        return features


def array_type(sample: Sequence[NDArray[Any]]) -> np.dtype[Any]:
    """Return the type that graphs take images in: uint8, uint16, or float32 for all others."""
    dtype = np.result_type(*[image.dtype for image in sample])
    return dtype if str(dtype) in ("uint8", "uint16") else np.dtype("float32")


def _channels(source: Field, sample: Sequence[NDArray[Any]]) -> int:
    channels = max(int(image.shape[2]) for image in sample)
    if channels not in (1, 3):
        raise DataError(
            f"The images of {source.name!r} have {channels} channels; 1 or 3 are known.",
            where=Where(field=source.name),
            fix="Drop the alpha channel, or choose the bands to use.",
        )
    return channels


def emit_known(graph: Graph, values: str, windows: Sequence[Window]) -> str:
    """Add the nodes that make values darkest that are no numbers, as outside of a scan."""
    lost = graph.op("Or", graph.op("IsNaN", values), graph.op("IsInf", values))
    low = graph.const(min(low for low, _ in windows), "float32")
    return graph.op("Where", lost, low, values)


def emit_window(graph: Graph, values: str, low: float, high: float) -> str:
    """Add the nodes that bring ``low`` to 0, ``high`` to 1, and cut what is beyond."""
    shifted = graph.op("Sub", values, graph.const(low, "float32"))
    scaled = graph.op("Div", shifted, graph.const(max(high - low, 1e-6), "float32"))
    return graph.op("Clip", scaled, graph.const(0.0, "float32"), graph.const(1.0, "float32"))


def windows_of(
    sample: Sequence[NDArray[Any]], dtype: np.dtype[Any], unit: str
) -> tuple[Window, ...]:
    """Return the intensity windows that suit a sample; see :class:`ImageOptions`."""
    if dtype.kind == "u":
        return ((0.0, float(np.iinfo(dtype).max)),)
    values = np.concatenate([image[::4, ::4].ravel() for image in sample])
    values = values[np.isfinite(values)]
    if not values.size:
        return ((0.0, 1.0),)
    low, high = np.quantile(values, [0.001, 0.999])
    if unit == "HU" or low < -500.0:
        return HU_WINDOWS
    return ((float(low), float(max(high, low + 1e-6))),)


def decoder_like(sample: Sequence[NDArray[Any]]) -> tuple[str, dict[str, Any]]:
    """Return the decoder of files such as the arrays that were given instead of files."""
    dtype = array_type(sample)
    bits = {"uint8": 8, "uint16": 16}.get(str(dtype), 32)
    return "image", {"channels": sample[0].shape[2], "bits": bits}
