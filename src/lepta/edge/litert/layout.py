"""Where each value of a program lies in a model of LiteRT, and in which order of axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lepta.core.errors import ExportError
from lepta.edge.litert.model import Model, Scales
from lepta.edge.program import Array, Node, Program, Shape, Value

LAST = (0, 2, 3, 1)
"""Channels last, from the order of ONNX."""
FIRST = (0, 3, 1, 2)
"""The way back."""


@dataclass(frozen=True)
class Place:
    """A tensor, its type, whether channels lie last in it, and what its whole numbers mean."""

    index: int
    dtype: str
    last: bool = False
    scales: Scales | None = None


@dataclass(frozen=True)
class Sink:
    """Where a node's result goes: through an activation and a quantisation that are joined."""

    name: str
    activation: str = "NONE"
    scales: Scales | None = None


def turned(shape: Shape, last: bool) -> Shape:
    """Return the shape as it lies."""
    return tuple(shape[axis] for axis in LAST) if last else shape


class Layout:
    """Writes operators, and keeps where values lie.

    Args:
        program: what is converted.
    """

    def __init__(self, program: Program) -> None:
        self.program, self.model = program, Model()
        self.done: set[str] = set()
        self.weights: dict[str, tuple[Array, Scales]] = {}
        self._places: dict[str, list[Place]] = {}

    def value(self, name: str) -> Value:
        """Return what is known of a value."""
        return self.program.values[name]

    def refusal(self, node: Node, why: str = "") -> ExportError:
        """Return the error for a node that has no form in LiteRT."""
        at = f" ({node.name})" if node.name else ""
        return ExportError(
            f"The operator {node.op}{at} cannot be written for LiteRT{' ' + why if why else ''}.",
            fix="Export to onnx, ort or c, which take trees and categories too.",
        )

    def demand(self, node: Node, name: str) -> Array:
        """Return the content of an input that must not change.

        Raises:
            ExportError: it does.
        """
        content = self.value(name).constant if name else None
        if content is None:
            raise self.refusal(node, "with an input that is computed, where a constant is needed")
        return content

    def put(self, name: str, place: Place) -> None:
        """Say where a value lies."""
        self._places.setdefault(name, []).append(place)

    def place(self, name: str) -> Place:
        """Return where a value lies first; a constant is laid down as it is."""
        if name not in self._places:
            value = self.value(name)
            if value.constant is None:
                raise ExportError(f"The value {name!r} of the graph is never computed.")
            index = self.model.tensor(name, value.shape, value.dtype, value.constant)
            self.put(name, Place(index, value.dtype))
        return self._places[name][0]

    def make(
        self, name: str, last: bool = False, dtype: str = "", scales: Scales | None = None
    ) -> int:
        """Add the tensor of a value; return its number."""
        value = self.value(name)
        kind = dtype or value.dtype
        index = self.model.tensor(name, turned(value.shape, last), kind, None, scales)
        self.put(name, Place(index, kind, last, scales))
        return index

    def read(self, name: str, last: bool = False) -> int:
        """Return the tensor of a value, real and with its channels where they are wanted."""
        return self.at(name, last, real=True).index

    def at(self, name: str, last: bool, real: bool) -> Place:
        """Return where a value lies in an order of axes, turned and made real where needed."""
        self.place(name)
        value = self.value(name)
        last = last and len(value.shape) == 4
        for place in self._places[name]:
            if place.last == last and not (real and place.scales):
                return place
        if real and all(place.scales for place in self._places[name]):
            self._make_real(name)
            return self.at(name, last, real)
        source = next(p for p in self._places[name] if bool(p.scales) != real or not real)
        return self._turn(name, source, last)

    def _make_real(self, name: str) -> None:
        source = self._places[name][0]
        shape = turned(self.value(name).shape, source.last)
        index = self.model.tensor(f"{name}/real", shape, "float32")
        self.model.operator("DEQUANTIZE", [source.index], [index], options="Dequantize")
        self.put(name, Place(index, "float32", source.last))

    def _turn(self, name: str, source: Place, last: bool) -> Place:
        value, order = self.value(name), LAST if last else FIRST
        shape = turned(value.shape, last)
        if value.constant is not None and source.scales is None:
            index = self.model.tensor(
                f"{name}/last", shape, value.dtype, value.constant.transpose(LAST)
            )
        else:
            index = self.model.tensor(f"{name}/turned", shape, source.dtype, None, source.scales)
            held = value.shape
            if held[1] == 1 or held[2] * held[3] == 1:  # the elements lie in the same order
                where = self.ints("shape", shape)
                self.model.operator("RESHAPE", [source.index, where], [index])
            else:
                perm = self.ints("order", order)
                self.model.operator("TRANSPOSE", [source.index, perm], [index], options="Transpose")
        place = Place(index, source.dtype, last, source.scales)
        self.put(name, place)
        return place

    def ints(self, name: str, values: Shape) -> int:
        """Return a constant of whole numbers."""
        return self.model.tensor(name, (len(values),), "int32", np.array(values, np.int32))

    def real(self, name: str, value: float) -> int:
        """Return a constant of one number."""
        return self.model.tensor(name, (), "float32", np.array(value, np.float32))

    def lies_last(self, name: str) -> bool:
        """Whether a value lies channels last."""
        return name in self._places and self._places[name][0].last

    def sink(self, node: Node) -> Sink:
        """Return where the result of a node goes; nodes that are joined are marked as done."""
        sink = Sink(node.outputs[0])
        reader = self.program.reader(sink.name)
        if reader is not None and (activation := self._activation(reader)):
            sink = Sink(reader.outputs[0], activation)
            self.done.add(sink.name)
            reader = self.program.reader(sink.name)
        if reader is not None and reader.op == "QuantizeLinear":
            scales = self.scales_of(reader)
            if scales is not None and scales.scale.size == 1:
                sink = Sink(reader.outputs[0], sink.activation, scales)
                self.done.add(sink.name)
        return sink

    def _activation(self, node: Node) -> str:
        if node.op == "Relu":
            return "RELU"
        if node.op == "Clip" and len(node.inputs) == 3 and all(node.inputs):
            ends = [self.value(name).constant for name in node.inputs[1:]]
            if [None if end is None else float(end) for end in ends] == [0.0, 6.0]:
                return "RELU6"
        return ""

    def scales_of(self, node: Node) -> Scales | None:
        """Return the constant scales of a node that (de)quantises, for signed numbers."""
        scale = self.value(node.inputs[1]).constant
        if scale is None:
            return None
        zero: Array = np.zeros(scale.shape, np.int32)
        kind = self.value(node.outputs[0] if node.op == "QuantizeLinear" else node.inputs[0]).dtype
        if len(node.inputs) > 2 and node.inputs[2]:
            held = self.value(node.inputs[2]).constant
            if held is None:
                return None
            zero = held.astype(np.int32)
        zero = zero - 128 if kind == "uint8" else zero
        return Scales(scale, zero, int(node.get("axis", 1)))
