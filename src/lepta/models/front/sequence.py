"""Sequences of labels to one int64 array (rows, length) of codes, 0 for padding and unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lepta.bundle.manifest import InputSpec
from lepta.core.events import Context
from lepta.models.front.base import FieldFront, Prepared
from lepta.models.graph import Graph
from lepta.runtime.fields import FieldReader
from lepta.runtime.session import open_session

if TYPE_CHECKING:
    from lepta.data import Dataset

MAX_LENGTH = 1024
"""Most labels of a sequence that are read, the last ones."""
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class SequenceFront(FieldFront):
    """Preprocessing of one field of sequences.

    Attributes:
        words: the labels known; the code of the first is 1.
    """

    words: tuple[str, ...]

    prepared: ClassVar[str] = "int64"

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (-1, -1)

    @property
    def input(self) -> InputSpec:
        return InputSpec(
            name=self.source.name,
            kind=self.source.kind,
            dtype="string",
            shape=(-1, -1),
            options={"length": MAX_LENGTH},
            required=False,
        )

    def emit(self, graph: Graph, tensor: str) -> str:
        return graph.op(
            "LabelEncoder",
            tensor,
            domain="ai.onnx.ml",
            keys_strings=list(self.words),
            values_int64s=list(range(1, len(self.words) + 1)),
            default_int64=0,
        )

    def emit_present(self, graph: Graph, tensor: str) -> str:
        codes = self.emit(graph, tensor)
        last = graph.op("ReduceMax", codes, graph.const([1], "int64"), keepdims=1)
        return graph.op("Cast", graph.op("Greater", last, graph.const(0, "int64")), to=1)

    def run(self, data: Dataset, context: Context) -> Prepared:
        reader = FieldReader(self.input, lambda name: b"")
        values = [reader(v, row) for row, v in enumerate(data.column(self.source.name))]
        length = max((len(value) for value in values), default=1)
        session = open_session(self.graph().SerializeToString())
        codes = np.zeros((len(values), length), np.int64)
        for begin in range(0, len(values), _CHUNK):
            part = values[begin : begin + _CHUNK]
            padded = [np.pad(v, (length - len(v), 0), constant_values="") for v in part]
            codes[begin : begin + len(part)] = session.run(None, {self.tensor: np.stack(padded)})[0]
        return codes, np.any(codes > 0, axis=1, keepdims=True).astype(np.float32)
