"""Numbers, categories and date-times to one float32 matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import InputSpec, Signature, TensorSpec
from lepta.core.schema import Field, Kind
from lepta.models.front.base import OnlyFields
from lepta.models.graph import Graph
from lepta.runtime.pack import pack
from lepta.runtime.session import open_session

TableStyle = Literal["codes", "ids", "dense"]
"""``codes``: numbers as they are (NaN = missing), categories as integer codes (0 = unknown), for
trees. ``ids``: the same, but no category is too rare to have a code, for look-ups. ``dense``:
numbers imputed and standardised with missing flags, categories one-hot, for linear models and
networks."""

MAX_CATEGORIES = 64
"""Categories kept by a one-hot encoding; rarer ones count as unknown."""
_LIMITS: dict[TableStyle, int | None] = {"codes": 1000, "ids": None, "dense": MAX_CATEGORIES}
_CLIP = 10.0
_DAY = 86400.0


@dataclass(frozen=True, eq=False)
class TableFront(OnlyFields):
    """Fitted preprocessing of the plain fields.

    Attributes:
        style: for trees or for networks.
        numbers, categories, times: field names by kind, in column order.
        vocabulary: known values of each category, most frequent first.
        center, scale: mean and standard deviation of each number, missing values left out.
        flagged: positions of the numbers that were missing somewhere in training.
        time_center, time_scale: the same for each date-time, in seconds.
    """

    style: TableStyle
    numbers: tuple[Field, ...]
    categories: tuple[Field, ...]
    times: tuple[Field, ...]
    vocabulary: tuple[tuple[str, ...], ...]
    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    flagged: tuple[int, ...]
    time_center: NDArray[np.float64]
    time_scale: NDArray[np.float64]

    @classmethod
    def fit(
        cls, columns: Mapping[str, NDArray[Any]], fields: tuple[Field, ...], style: TableStyle
    ) -> TableFront:
        """Learn vocabularies and scales from training columns (as ``runtime.pack`` gives them)."""
        numbers = tuple(f for f in fields if f.kind == Kind.NUMBER)
        categories = tuple(f for f in fields if f.kind == Kind.CATEGORY)
        times = tuple(f for f in fields if f.kind == Kind.DATETIME)
        limit = _LIMITS[style]
        center, scale, missing = _moments([columns[f.name] for f in numbers])
        time_center, time_scale, _ = _moments([columns[f.name] for f in times])
        return cls(
            style=style,
            numbers=numbers,
            categories=categories,
            times=times,
            vocabulary=tuple(_vocabulary(columns[f.name], limit) for f in categories),
            center=center.astype(np.float32),
            scale=scale.astype(np.float32),
            flagged=tuple(np.flatnonzero(missing).tolist()),
            time_center=time_center,
            time_scale=time_scale,
        )

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The public input fields."""
        dtypes = ((self.numbers, "float32"), (self.categories, "string"), (self.times, "float64"))
        return tuple(
            InputSpec(
                name=field.name,
                kind=field.kind,
                dtype=dtype,
                shape=(-1,),
                unit=field.unit,
                classes=field.classes,
                options={"format": field.format} if field.format else {},
            )
            for fields, dtype in dtypes
            for field in fields
        )

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The tensors that the fields are packed in."""
        packs = (
            ("numbers", "float32", self.numbers),
            ("categories", "string", self.categories),
            ("times", "float64", self.times),
        )
        return tuple(
            TensorSpec(
                name=name,
                dtype=dtype,
                shape=(-1, len(fields)),
                fields=tuple(f.name for f in fields),
            )
            for name, dtype, fields in packs
            if fields
        )

    @property
    def categorical(self) -> tuple[int, ...]:
        """Columns of the matrix that hold category codes (none in style ``dense``)."""
        if self.style == "dense":
            return ()
        return tuple(range(len(self.numbers), len(self.numbers) + len(self.categories)))

    @cached_property
    def _session(self) -> Any:
        graph = Graph()
        tensors = {t.name: graph.input(t.name, t.dtype, t.shape) for t in self.tensors}
        graph.output(self.emit(graph, tensors), "table", "float32", (-1, -1))
        return open_session(graph.build().SerializeToString())

    def run(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return the matrix (rows, columns) of raw columns, by the graph that ships."""
        signature = Signature(inputs=self.inputs, tensors=self.tensors, outputs=())
        (matrix,) = self._session.run(None, pack(signature, columns))
        return np.asarray(matrix, np.float32)

    def emit(self, graph: Graph, tensors: Mapping[str, str]) -> str:
        """Add the nodes; return the name of the float32 matrix (rows, columns)."""
        parts: list[str] = []
        if self.numbers:
            parts += self._numbers(graph, tensors["numbers"])
        for position, words in enumerate(self.vocabulary):
            parts.append(self._category(graph, tensors["categories"], position, words))
        if self.times:
            parts.append(self._times(graph, tensors["times"]))
        return graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]

    def _numbers(self, graph: Graph, numbers: str) -> list[str]:
        absent = graph.op("Or", graph.op("IsNaN", numbers), graph.op("IsInf", numbers))
        if self.style != "dense":
            return [graph.op("Where", absent, graph.const(self._unknown()), numbers)]
        filled = graph.op("Where", absent, graph.const(self.center), numbers)
        centred = graph.op("Sub", filled, graph.const(self.center))
        scaled = graph.op("Div", centred, graph.const(self.scale))
        limits = graph.const(-_CLIP, "float32"), graph.const(_CLIP, "float32")
        parts = [graph.op("Clip", scaled, *limits)]
        if self.flagged:
            chosen = graph.op("Gather", absent, graph.const(list(self.flagged), "int64"), axis=1)
            parts.append(graph.op("Cast", chosen, to=1))
        return parts

    def _unknown(self) -> NDArray[np.float32]:
        """What trees read where a number is missing: NaN, or the mean if training had no gap."""
        unknown = self.center.copy()
        unknown[list(self.flagged)] = np.nan
        return unknown

    def _category(self, graph: Graph, strings: str, position: int, words: tuple[str, ...]) -> str:
        column = graph.op("Gather", strings, graph.const([position], "int64"), axis=1)
        codes = graph.op(
            "LabelEncoder",
            column,
            domain="ai.onnx.ml",
            keys_strings=list(words),
            values_int64s=list(range(1, len(words) + 1)),
            default_int64=0,
        )
        if self.style != "dense":
            return graph.op("Cast", codes, to=1)
        flat = graph.op("Reshape", codes, graph.const([-1], "int64"))
        depth = graph.const(len(words) + 1, "int64")
        return graph.op("OneHot", flat, depth, graph.const([0.0, 1.0], "float32"), axis=-1)

    def _times(self, graph: Graph, times: str) -> str:
        absent = graph.op("IsNaN", times)
        filled = graph.op("Where", absent, graph.const(self.time_center), times)
        centred = graph.op("Sub", filled, graph.const(self.time_center))
        trend = graph.op("Div", centred, graph.const(self.time_scale))
        if self.style == "dense":
            limits = graph.const(-_CLIP, "float64"), graph.const(_CLIP, "float64")
            trend = graph.op("Clip", trend, *limits)
        parts = [trend]
        for period in (_DAY, 7 * _DAY, 365.2425 * _DAY):
            turns = graph.op("Div", filled, graph.const(period, "float64"))
            part = graph.op("Sub", turns, graph.op("Floor", turns))
            angle = graph.op("Mul", part, graph.const(2 * np.pi, "float64"))
            angle = graph.op("Cast", angle, to=1)
            parts += [graph.op("Cast", graph.op(f, angle), to=11) for f in ("Sin", "Cos")]
            parts.append(part)
        return graph.op("Cast", graph.op("Concat", *parts, axis=1), to=1)


def _moments(
    columns: list[NDArray[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    center, scale = np.zeros(len(columns)), np.ones(len(columns))
    missing = np.zeros(len(columns), np.bool_)
    for position, column in enumerate(columns):
        values = np.asarray(column, np.float64)
        known = values[np.isfinite(values)]
        missing[position] = len(known) < len(values)
        if len(known):
            center[position] = known.mean()
            scale[position] = known.std() or 1.0
    return center, scale, missing


def _vocabulary(values: NDArray[Any], limit: int | None) -> tuple[str, ...]:
    counts = Counter(value for value in values.tolist() if value)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return tuple(ranked[:limit]) or ("",)
