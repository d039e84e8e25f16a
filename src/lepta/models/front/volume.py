"""Volumes of any size to one float32 array (rows, channels, side, side, side) in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lepta.bundle.manifest import InputSpec
from lepta.core.schema import Field
from lepta.models.front.base import MediaFront, sample_of
from lepta.models.front.image import Window, emit_known, emit_window, windows_of
from lepta.models.graph import Graph

if TYPE_CHECKING:
    from lepta.data import Dataset

SIDES = (16, 48)
"""Smallest and largest side of the cube that volumes are resized to."""


@dataclass(frozen=True, eq=False)
class VolumeFront(MediaFront):
    """Fitted preprocessing of one field of volumes (depth, height, width, channels)."""

    channels: int
    side: int
    windows: tuple[Window, ...]

    @classmethod
    def fit(
        cls, data: Dataset, source: Field, tensor: str, optional: bool, side: int | None = None
    ) -> VolumeFront:
        """Choose the side of the cube and the intensity windows from a sample."""
        sample = [v[..., None] if v.ndim == 3 else v for v in sample_of(data, source.name)]
        largest = int(np.median([max(volume.shape[:3]) for volume in sample]))
        planes = [plane for volume in sample for plane in volume[:: max(1, len(volume) // 8)]]
        return cls(
            source=source,
            tensor=tensor,
            optional=optional,
            decoder=data.decoders.get(source.name) or ("series", {}),
            channels=max(volume.shape[3] for volume in sample),
            side=side or int(np.clip(-(-largest // 8) * 8, *SIDES)),
            windows=windows_of(planes, np.dtype(np.float32), source.unit),
        )

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (-1, self.channels * len(self.windows), self.side, self.side, self.side)

    @property
    def input(self) -> InputSpec:
        return InputSpec(
            name=self.source.name,
            kind=self.source.kind,
            dtype="float32",
            shape=(-1, -1, -1, -1, self.channels),
            unit=self.source.unit,
            decoder=self.decoder[0],
            options=self.decoder[1],
            required=not self.optional,
        )

    def emit(self, graph: Graph, tensor: str) -> str:
        """Resize heights and widths, then depths, each with antialiasing, which takes 4 axes."""
        side = self.side
        known = emit_known(graph, tensor, self.windows)
        values = graph.op("Transpose", known, perm=[0, 4, 1, 2, 3])
        shape = graph.op("Shape", values)
        rows, channels, depth = (graph.op("Slice", shape, *_at(graph, axis)) for axis in range(3))
        cube = graph.const([side], "int64")
        planes = graph.op("Concat", graph.op("Mul", rows, channels), depth,
                          graph.op("Slice", shape, *_at(graph, 3)),
                          graph.op("Slice", shape, *_at(graph, 4)), axis=0)  # fmt: skip
        flat = graph.op("Reshape", values, planes)
        small = self._resize(graph, flat, [side, side])
        columns = graph.op("Concat", graph.op("Mul", rows, channels), graph.const([1], "int64"),
                           depth, graph.const([side * side], "int64"), axis=0)  # fmt: skip
        deep = self._resize(graph, graph.op("Reshape", small, columns), [side, side * side])
        whole = graph.op("Concat", rows, channels, cube, cube, cube, axis=0)
        resized = graph.op("Reshape", deep, whole)
        parts = [emit_window(graph, resized, low, high) for low, high in self.windows]
        return graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]

    def _resize(self, graph: Graph, values: str, size: list[int]) -> str:
        kept = graph.op("Shape", values, end=2)
        return graph.op(
            "Resize",
            values,
            "",
            "",
            graph.op("Concat", kept, graph.const(size, "int64"), axis=0),
            mode="linear",
            antialias=1,
            coordinate_transformation_mode="half_pixel",
        )


def _at(graph: Graph, axis: int) -> tuple[str, str]:
    return graph.const([axis], "int64"), graph.const([axis + 1], "int64")
