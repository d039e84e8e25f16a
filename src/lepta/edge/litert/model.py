"""A model of LiteRT in the making: tensors, buffers, operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepta.core.errors import ExportError
from lepta.edge.program import Array, Shape

_TYPES = {
    "float32": "FLOAT32",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "int8": "INT8",
    "bool": "BOOL",
}
VERSION = 3
"""Version of the schema."""


@dataclass(frozen=True)
class Scales:
    """What whole numbers stand for: ``(value - zero) * scale``, along ``axis``."""

    scale: Array
    zero: Array
    axis: int = 0

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Scales)
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero, other.zero)
        )

    def __hash__(self) -> int:
        return hash((self.scale.tobytes(), self.zero.tobytes()))


class Model:
    """Collects what the file holds. Tensors are numbers."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self._codes: list[int] = []
        self._buffers: list[Any] = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.operators: list[Any] = []

    def tensor(
        self,
        name: str,
        shape: Shape,
        dtype: str,
        data: Array | None = None,
        scales: Scales | None = None,
    ) -> int:
        """Add a tensor, constant where ``data`` is given; return its number.

        Raises:
            ExportError: there is no such type.
        """
        if dtype not in _TYPES:
            raise ExportError(
                f"The graph computes with values of type {dtype}, which LiteRT does not know.",
                fix="Export to onnx or ort.",
            )
        made = self.schema.TensorT()
        made.name, made.shape = name, np.array(shape, np.int32)
        made.type = getattr(self.schema.TensorType, _TYPES[dtype])
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            self._buffers.append(buffer)
            made.buffer = len(self._buffers) - 1
        if scales is not None:
            known = self.schema.QuantizationParametersT()
            known.scale = scales.scale.ravel().astype(np.float32)
            known.zeroPoint = np.broadcast_to(scales.zero.ravel(), known.scale.shape).astype(
                np.int64
            )
            known.quantizedDimension = scales.axis
            made.quantization = known
        self.tensors.append(made)
        return len(self.tensors) - 1

    def operator(
        self, kind: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any
    ) -> None:
        """Add an operator; ``options="Conv2D"`` is the kind of the other options."""
        code = getattr(self.schema.BuiltinOperator, kind)
        if code not in self._codes:
            self._codes.append(code)
        made = self.schema.OperatorT()
        made.opcodeIndex = self._codes.index(code)
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        if (name := options.pop("options", "")) or options:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, f"{name}Options")
            made.builtinOptions = getattr(self.schema, f"{name}OptionsT")()
            for key, value in options.items():
                setattr(made.builtinOptions, key, value)
        self.operators.append(made)

    def pack(self, inputs: Sequence[int], outputs: Sequence[int], description: str) -> bytes:
        """Return the file."""
        import flatbuffers

        graph = self.schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        graph.name = "main"
        whole = self.schema.ModelT()
        whole.version, whole.description = VERSION, description
        whole.subgraphs, whole.buffers = [graph], self._buffers
        whole.operatorCodes = [self._code(code) for code in self._codes]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(whole.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _code(self, code: int) -> Any:
        made = self.schema.OperatorCodeT()
        made.builtinCode = code
        made.deprecatedBuiltinCode = min(code, 127)
        return made
