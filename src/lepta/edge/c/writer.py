"""Writes the body of the function that predicts: places of values, loops, constants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from lepta.core.errors import ExportError
from lepta.edge.c.kernels import KERNELS
from lepta.edge.c.plan import Buffer
from lepta.edge.c.text import SIZES, array, ctype, identifier, literal
from lepta.edge.program import Array, Node, Program, Shape, Value

Strides = tuple[int, ...]
_INT = "int32_t"


@dataclass(frozen=True)
class Quantised:
    """A value that stands for ``(source - zero) * scale``: it is computed where it is read.

    ``scale`` and ``zero`` are numbers, or arrays along ``axis``.
    """

    source: str
    scale: Array
    zero: Array
    axis: int = 0

    @property
    def plain(self) -> bool:
        """Whether there is one scale for all."""
        return bool(self.scale.size == 1)

    def real(self, held: Array) -> Array:
        """Return the real numbers for which those of ``held`` stand."""
        shape = [1] * held.ndim
        if not self.plain:
            shape[self.axis] = -1
        scale, zero = self.scale.reshape(shape), self.zero.astype(np.int32).reshape(shape)
        return np.asarray((held.astype(np.int32) - zero) * scale, np.float32)


@dataclass(frozen=True)
class Sink:
    """Where a node's results go, and what is done to them on the way there.

    Attributes:
        name: the value that is written in the end.
        low, high: limits, where there are some.
        scale, zero: how it is quantised, where it is.
    """

    name: str
    low: float = -np.inf
    high: float = np.inf
    scale: float | None = None
    zero: int = 0

    @property
    def clamped(self) -> bool:
        """Whether there are limits."""
        return bool(np.isfinite(self.low) or np.isfinite(self.high))


def strides_of(shape: Shape) -> Strides:
    """Return the strides of a contiguous array, in elements."""
    return tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape)))


def broadcast_strides(shape: Shape, out: Shape) -> Strides:
    """Return the strides with which an array of ``shape`` is read as one of shape ``out``."""
    own = strides_of(shape)
    kept = tuple(0 if size == 1 else stride for size, stride in zip(shape, own, strict=True))
    return (0,) * (len(out) - len(shape)) + kept


class Writer:
    """Lines of C, and what they need: buffers, constants, functions.

    Args:
        program: what is compiled.
        inputs: expression in C of the first element of each input.
    """

    def __init__(self, program: Program, inputs: Mapping[str, str]) -> None:
        self.program = program
        self.lines: list[str] = []
        self.kernels: dict[str, str] = {}
        self.constants: dict[tuple[str, bytes], tuple[str, str]] = {}
        self.constant_bytes = 0
        self.buffers: list[Buffer] = []
        self.step = 0
        self.done: set[str] = set()
        self.quantised: dict[str, Quantised] = {}
        self._places: dict[str, str | Buffer] = dict(inputs)
        self._depth = 1
        self._count = 0

    def value(self, name: str) -> Value:
        """Return what is known of a value."""
        return self.program.values[name]

    def constant(self, name: str) -> Array | None:
        """Return the content of a value, where it never changes and is not quantised."""
        return self.value(name).constant if name else None

    def demand(self, node: Node, name: str) -> Array:
        """Return the content of an input that must not change.

        Raises:
            ExportError: it does.
        """
        content = self.constant(name)
        if content is None:
            raise self.refusal(node, "with an input that is computed, where a constant is needed")
        return content

    def refusal(self, node: Node, why: str = "") -> ExportError:
        """Return the error for a node that cannot be written."""
        at = f" ({node.name})" if node.name else ""
        return ExportError(
            f"The operator {node.op}{at} cannot be written in C{' ' + why if why else ''}.",
            fix="For a device with an operating system, export to ort, openvino, litert or onnx. "
            "For a micro-controller, train another learner: trees, linear, mlp or resnet.",
        )

    # Lines

    def line(self, text: str) -> None:
        """Write one line."""
        self.lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Write a block in braces."""
        self.line(f"{head} {{".strip())
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}")

    def kernel(self, name: str, **types: str) -> str:
        """Make sure that a function stands in the file, for these types; return its name."""
        source = KERNELS[name]
        for key, kind in types.items():
            source = source.replace(f"@{key}@", kind)
        title = "_".join([name, *(identifier(k) for k in types.values() if k in SIZES)])
        self.kernels[title] = source.replace("@NAME@", title)
        return title

    def quantise(self, kind: str) -> str:
        """Return the name of the function that rounds to one of 256 numbers of type ``kind``."""
        return self.kernel("quantise", Y=kind, LOW="-128.0f" if kind == "int8_t" else "0.0f")

    def table(self, values: Array, kind: str = "") -> str:
        """Make sure that a constant array stands in the file; return its name."""
        values = np.asarray(values)
        kind = kind or ctype("object" if values.dtype.kind in "OUS" else str(values.dtype))
        content = repr(values.tolist()).encode() if values.dtype.kind in "OUS" else values.tobytes()
        key = (kind, content)
        if key not in self.constants:
            name = f"k{len(self.constants)}"
            self.constants[key] = name, array(name, values, kind)
            self.constant_bytes += values.size * SIZES[kind]
            if kind.endswith("*"):
                self.constant_bytes += sum(len(str(v).encode()) + 1 for v in values.ravel())
        return self.constants[key][0]

    # Places

    def kind(self, name: str) -> str:
        """Return the type in C of a value."""
        return ctype(self.value(name).dtype)

    def last(self, name: str) -> int:
        """Return the last step at which a value is read."""
        return max(self.step, self.program.last(name))

    def scratch(self, kind: str, size: int) -> str:
        """Return a buffer that is in use during this step only."""
        return self._buffer(kind, size, self.step).name

    def _buffer(self, kind: str, size: int, last: int) -> Buffer:
        self._count += 1
        buffer = Buffer(f"v{self._count}", kind, max(1, size), self.step, last)
        self.buffers.append(buffer)
        return buffer

    def alias(self, name: str, source: str) -> None:
        """Say that a value is another one, of another shape."""
        if source in self.quantised:
            self.quantised[name] = self.quantised[source]
            self._prolong(self.quantised[source].source, self.last(name))
            return
        self._places[name] = self._place(source)
        self._prolong(source, self.last(name))

    def stands_for(self, name: str, quantised: Quantised) -> None:
        """Say that a value is computed from another one wherever it is read."""
        self.quantised[name] = quantised
        self._prolong(quantised.source, self.last(name))

    def _prolong(self, name: str, last: int) -> None:
        place = self._places.get(name)
        if isinstance(place, Buffer):
            place.last = max(place.last, last)

    def _place(self, name: str) -> str | Buffer:
        if name not in self._places:
            content = self.constant(name)
            if content is None:
                raise ExportError(f"The value {name!r} of the graph is never computed.")
            self._places[name] = self.table(content)
        return self._places[name]

    def pointer(self, name: str) -> str:
        """Return the expression of the first element; what is quantised is computed first."""
        self._settle(name)
        if name in self.quantised:
            return self._unpacked(name)
        place = self._place(name)
        return place.name if isinstance(place, Buffer) else place

    def _unpacked(self, name: str) -> str:
        value = self.value(name)
        buffer = self._buffer("float", value.size, self.last(name))
        expression = self.at(name)
        with self.loops(value.shape, [strides_of(value.shape)]) as (index,):
            self.line(f"{buffer.name}[{index}] = {expression(index)};")
        del self.quantised[name]
        self._places[name] = buffer
        return buffer.name

    def define(self, name: str) -> str:
        """Make a buffer for a value; return the expression of its first element."""
        value = self.value(name)
        buffer = self._buffer(self.kind(name), value.size, self.last(name))
        self._places[name] = buffer
        return buffer.name

    def define_in(self, name: str, operands: Sequence[str]) -> str:
        """The same; in place of an operand that is not needed any more, where there is one."""
        kind, shape = self.kind(name), self.value(name).shape
        for operand in operands:
            place = self._places.get(operand)
            if not isinstance(place, Buffer) or operand in self.quantised:
                continue
            sharing = [o for o in operands if self._source(o) is place]
            if (
                place.last == self.step
                and place.kind == kind
                and all(self.value(o).shape == shape for o in sharing)
            ):
                self._places[name] = place
                place.last = self.last(name)
                return place.name
        return self.define(name)

    def _source(self, name: str) -> str | Buffer | None:
        view = self.quantised.get(name)
        return self._places.get(view.source if view else name)

    def _settle(self, name: str) -> None:
        """Turn a constant that is quantised into real numbers, where it is read as such."""
        view = self.quantised.get(name)
        held = None if view is None else self.constant(view.source)
        if view is not None and held is not None:
            del self.quantised[name]
            values = view.real(held)
            self.program.values[name] = Value(name, "float32", values.shape, values)

    # Expressions

    def at(self, name: str) -> Callable[[str], str]:
        """Return how one element is read, given its index as an expression."""
        self._settle(name)
        view = self.quantised.get(name)
        if view is not None:
            base = self.pointer(view.source)
            scale = literal(view.scale.ravel()[0], "float")
            zero = int(view.zero.ravel()[0])
            shift = f" - {zero}" if zero > 0 else f" + {-zero}" if zero else ""
            return lambda index: f"((float)({base}[{index}]{shift}) * {scale})"
        content = self.constant(name)
        if content is not None and content.size == 1:
            text = literal(content.ravel()[0], self.kind(name))
            return lambda _: f"({text})" if text.startswith("-") else text
        base = self.pointer(name)
        return lambda index: f"{base}[{index}]"

    @contextmanager
    def loops(self, shape: Shape, strides: Sequence[Strides]) -> Iterator[list[str]]:
        """Write loops over ``shape``; yield the index into each array of these strides."""
        sizes, steps = collapsed(shape, strides)
        names = [f"i{axis}" for axis in range(len(sizes))]
        for name, size in zip(names, sizes, strict=True):
            self.line(f"for ({_INT} {name} = 0; {name} < {size}; ++{name}) {{")
            self._depth += 1
        yield [_index(names, step) for step in steps]
        for _ in names:
            self._depth -= 1
            self.line("}")

    # Results

    def sink(self, node: Node) -> Sink:
        """Return where the one result of a node goes: limits and quantisation after it are joined.

        Nodes that are joined are marked as done.
        """
        sink = Sink(node.outputs[0])
        if self.kind(sink.name) != "float":
            return sink
        while (reader := self.program.reader(sink.name)) is not None:
            joined = self._joined(sink, reader)
            if joined is None:
                break
            self.done.add(reader.outputs[0])
            sink = joined
            if sink.scale is not None:
                break
        return sink

    def _joined(self, sink: Sink, reader: Node) -> Sink | None:
        out = reader.outputs[0]
        limits = [self.constant(name) for name in reader.inputs[1:]]
        if any(
            name and limit is None for name, limit in zip(reader.inputs[1:], limits, strict=True)
        ):
            return None
        if reader.op == "Relu":
            return replace(sink, name=out, low=max(sink.low, 0.0), high=max(sink.high, 0.0))
        if reader.op == "Clip" and len(reader.inputs) > 1:
            low, high = (
                float(limits[at].ravel()[0]) if at < len(limits) and limits[at] is not None else end  # type: ignore[union-attr]
                for at, end in ((0, -np.inf), (1, np.inf))
            )
            return replace(
                sink,
                name=out,
                low=min(max(sink.low, low), high),
                high=min(max(sink.high, low), high),
            )
        if reader.op == "QuantizeLinear" and limits[0] is not None and limits[0].size == 1:
            zero = limits[1] if len(limits) > 1 and limits[1] is not None else np.zeros(1)
            scale = float(limits[0].ravel()[0])
            return replace(sink, name=out, scale=scale, zero=int(zero.ravel()[0]))
        return None

    def store(self, sink: Sink, index: str, expression: str) -> str:
        """Return the statement that stores a result, at an index of the sink's array."""
        if sink.clamped:
            limits = f"{literal(sink.low, 'float')}, {literal(sink.high, 'float')}"
            expression = f"{self.kernel('clamp')}({expression}, {limits})"
        if sink.scale is not None:
            kernel = self.quantise(self.kind(sink.name))
            expression = f"{kernel}({expression}, {literal(sink.scale, 'float')}, {sink.zero})"
        return f"{self.pointer(sink.name)}[{index}] = {expression};"


def collapsed(shape: Shape, strides: Sequence[Strides]) -> tuple[list[int], list[tuple[int, ...]]]:
    """Return shape and strides with as few axes as say the same."""
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if sizes and all(
            step[-1] == s[axis] * size for step, s in zip(steps, strides, strict=True)
        ):
            sizes[-1] *= size
            for step, s in zip(steps, strides, strict=True):
                step[-1] = s[axis]
            continue
        sizes.append(size)
        for step, s in zip(steps, strides, strict=True):
            step.append(s[axis])
    return sizes, [tuple(step) for step in steps]


def _index(names: Sequence[str], strides: Sequence[int]) -> str:
    parts = [
        name if stride == 1 else f"{name} * {stride}"
        for name, stride in zip(names, strides, strict=True)
        if stride
    ]
    return " + ".join(parts) or "0"
