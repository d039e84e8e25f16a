"""Series of numbers to one float32 array (rows, channels, length), standardised, gaps 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import InputSpec
from lepta.core.errors import DataError, Where
from lepta.core.events import Context
from lepta.core.schema import Field
from lepta.models.front.base import FieldFront, Prepared
from lepta.models.graph import Graph
from lepta.runtime.fields import FieldReader
from lepta.runtime.session import open_session

if TYPE_CHECKING:
    from lepta.data import Dataset

MAX_LENGTH = 1024
"""Most steps of a series that are read."""
_COVERED = 0.95
_CLIP = 10.0
_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class SeriesFront(FieldFront):
    """Fitted preprocessing of one field of series (steps, channels); the last steps are read.

    Attributes:
        length: steps read.
        center, scale: mean and standard deviation of each channel, gaps left out.
    """

    length: int
    center: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def fit(cls, data: Dataset, source: Field, tensor: str, optional: bool) -> SeriesFront:
        """Choose the length, which holds 95 % of the series whole, and standardise.

        Raises:
            DataError: no row has a series, or their channels differ in number.
        """
        whole = _block(data, source.name)
        if whole is not None and whole.size:
            length = int(np.clip(whole.shape[1], 1, MAX_LENGTH))
            center, scale = _moments(whole.reshape(-1, whole.shape[2]))
            return cls(source, tensor, optional, length, center, scale)
        found = [_steps(source.name, value) for value in data.column(source.name) if _any(value)]
        channels = {steps.shape[1] for steps in found}
        if len(channels) != 1:
            raise DataError(
                f"The series of {source.name!r} have {sorted(channels) or 'no'} channels.",
                where=Where(field=source.name),
                fix="Give each as a list of numbers, or of lists of one length.",
            )
        length = int(np.ceil(np.quantile([len(steps) for steps in found], _COVERED)))
        center, scale = _moments(np.concatenate(found))
        return cls(
            source=source,
            tensor=tensor,
            optional=optional,
            length=int(np.clip(length, 1, MAX_LENGTH)),
            center=center,
            scale=scale,
        )

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (-1, len(self.center), self.length)

    @property
    def input(self) -> InputSpec:
        return InputSpec(
            name=self.source.name,
            kind=self.source.kind,
            dtype="float32",
            shape=(-1, self.length, len(self.center)),
            unit=self.source.unit,
            required=not self.optional,
        )

    def emit(self, graph: Graph, tensor: str) -> str:
        scaled = graph.op("Sub", tensor, graph.const(self.center))
        scaled = graph.op("Div", scaled, graph.const(self.scale))
        limits = graph.const(-_CLIP, "float32"), graph.const(_CLIP, "float32")
        filled = graph.op("Where", graph.op("IsNaN", scaled), graph.const(0.0, "float32"), scaled)
        return graph.op("Transpose", graph.op("Clip", filled, *limits), perm=[0, 2, 1])

    def emit_present(self, graph: Graph, tensor: str) -> str:
        known = graph.op("Cast", graph.op("Not", graph.op("IsNaN", tensor)), to=1)
        there = graph.op("ReduceMax", known, graph.const([1, 2], "int64"), keepdims=0)
        return graph.op("Unsqueeze", there, graph.const([1], "int64"))

    def run(self, data: Dataset, context: Context) -> Prepared:
        whole = _block(data, self.source.name)
        if whole is not None and whole.shape[1:] == (self.length, len(self.center)):
            values = whole
        else:
            reader = FieldReader(self.input, lambda name: b"")
            column = data.column(self.source.name)
            values = np.stack([reader(value, row) for row, value in enumerate(column)])
        session = open_session(self.graph().SerializeToString())
        parts = [
            session.run(None, {self.tensor: values[begin : begin + _CHUNK]})[0]
            for begin in range(0, len(values), _CHUNK)
        ]
        known = np.asarray(~np.isnan(values)).any(axis=(1, 2))
        return np.concatenate(parts), np.asarray(known, np.float32)[:, None]


def _block(data: Dataset, name: str) -> NDArray[np.float32] | None:
    """Return the series of all rows, (rows, steps, channels), where they are kept as one array."""
    values = data.numpy(name)
    return np.asarray(values, np.float32) if values.ndim == 3 else None


def _any(value: Any) -> bool:
    return value is not None and len(value) > 0


def _steps(name: str, value: Any) -> NDArray[np.float32]:
    try:
        steps = np.asarray(value, np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"A series of {name!r} is not made of numbers, or its steps differ in length.",
            where=Where(field=name),
        ) from error
    return steps[:, None] if steps.ndim == 1 else steps


def _moments(steps: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    center = np.zeros(steps.shape[1], np.float32)
    scale = np.ones(steps.shape[1], np.float32)
    for channel in range(steps.shape[1]):
        values = steps[:, channel].astype(np.float64)
        known = values[np.isfinite(values)]
        if known.size:
            center[channel], scale[channel] = known.mean(), known.std() or 1.0
    return center, scale
