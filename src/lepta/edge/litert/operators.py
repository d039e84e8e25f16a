"""How each operator of ONNX is written for LiteRT."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lepta.edge.litert.layout import LAST, Layout, Place, Sink, turned
from lepta.edge.program import Node

Lowering = Callable[[Layout, Node], None]
LOWERINGS: dict[str, Lowering] = {}

_UNARY = {
    "Relu": "RELU",
    "Sigmoid": "LOGISTIC",
    "Tanh": "TANH",
    "Exp": "EXP",
    "Log": "LOG",
    "Sqrt": "SQRT",
    "Neg": "NEG",
    "Abs": "ABS",
    "Floor": "FLOOR",
    "Sin": "SIN",
    "Cos": "COS",
    "Not": "LOGICAL_NOT",
    "HardSwish": "HARD_SWISH",
}
_BINARY = {
    "Add": "ADD",
    "Sub": "SUB",
    "Mul": "MUL",
    "Div": "DIV",
    "Max": "MAXIMUM",
    "Min": "MINIMUM",
    "Or": "LOGICAL_OR",
    "And": "LOGICAL_AND",
    "Less": "LESS",
    "Greater": "GREATER",
}
_WITH_OPTIONS = frozenset({"ADD", "SUB", "MUL", "DIV"})


def lowers(*operators: str) -> Callable[[Lowering], Lowering]:
    """Register the function that writes some operators."""

    def register(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(operators, function))
        return function

    return register


def axes_of(out: Layout, node: Node) -> list[int]:
    """Return the axes that a node reduces."""
    axes = node.get("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1]:
        axes = out.demand(node, node.inputs[1]).ravel().tolist()
    rank = len(out.value(node.inputs[0]).shape)
    return sorted(axis % rank for axis in (axes or range(rank)))


@lowers("Identity")
def same(out: Layout, node: Node) -> None:
    """The same value."""
    out.put(node.outputs[0], out.place(node.inputs[0]))


@lowers(*_UNARY)
def unary(out: Layout, node: Node) -> None:
    """One operand, in whatever order of axes."""
    last = out.lies_last(node.inputs[0])
    given = out.read(node.inputs[0], last)
    out.model.operator(_UNARY[node.op], [given], [out.make(node.outputs[0], last)])


def _operand(out: Layout, name: str, rank: int, last: bool, real: bool = True) -> Place:
    """Return an operand of a node whose result has ``rank`` axes."""
    value = out.value(name)
    if last and value.constant is not None and len(value.shape) < rank:
        content = value.constant.reshape((1,) * (rank - len(value.shape)) + value.shape)
        content = content.transpose(LAST)
        return Place(out.model.tensor(name, content.shape, value.dtype, content), value.dtype, last)
    if last and 1 < len(value.shape) < rank:
        shape = (1,) * (rank - len(value.shape)) + value.shape
        index = out.model.tensor(f"{name}/wide", turned(shape, True), value.dtype)
        wide = out.model.tensor(f"{name}/first", shape, value.dtype)
        where = out.ints("shape", shape)
        out.model.operator("RESHAPE", [out.read(name), where], [wide])
        order = out.ints("order", LAST)
        out.model.operator("TRANSPOSE", [wide, order], [index], options="Transpose")
        return Place(index, value.dtype, last)
    return out.at(name, last, real)


@lowers(*_BINARY)
def binary(out: Layout, node: Node) -> None:
    """Two operands; sums of whole numbers stay whole."""
    kind = _BINARY[node.op]
    rank = len(out.value(node.outputs[0]).shape)
    last = rank == 4 and any(out.lies_last(name) for name in node.inputs)
    sink = out.sink(node) if kind in _WITH_OPTIONS else Sink(node.outputs[0])
    places = [out.place(name) for name in node.inputs]
    whole = sink.scales is not None and kind == "ADD" and all(p.scales for p in places)
    given = [_operand(out, name, rank, last, not whole).index for name in node.inputs]
    options = {}
    if kind in _WITH_OPTIONS:
        code = getattr(out.model.schema.ActivationFunctionType, sink.activation)
        options = {"options": kind.title(), "fusedActivationFunction": code}
    finish(out, sink, last, whole, lambda made: out.model.operator(kind, given, [made], **options))


def finish(out: Layout, sink: Sink, last: bool, whole: bool, write: Callable[[int], None]) -> None:
    """Write an operator whose result goes to a sink; quantise it afterwards where it is real."""
    if sink.scales is None or whole:
        dtype = "int8" if whole else ""
        write(out.make(sink.name, last, dtype, sink.scales if whole else None))
        return
    real = out.model.tensor(
        f"{sink.name}/real", turned(out.value(sink.name).shape, last), "float32"
    )
    write(real)
    made = out.make(sink.name, last, "int8", sink.scales)
    out.model.operator("QUANTIZE", [real], [made], options="Quantize")


@lowers("QuantizeLinear")
def quantize(out: Layout, node: Node) -> None:
    """Real to whole numbers of 8 bits."""
    scales = out.scales_of(node)
    if scales is None or scales.scale.size != 1:
        raise out.refusal(node, "other than with one scale")
    last = out.lies_last(node.inputs[0])
    held = out.place(node.inputs[0])
    if held.scales == scales:
        out.put(node.outputs[0], held)
        return
    given = out.read(node.inputs[0], last)
    made = out.make(node.outputs[0], last, "int8", scales)
    out.model.operator("QUANTIZE", [given], [made], options="Quantize")


@lowers("DequantizeLinear")
def dequantize(out: Layout, node: Node) -> None:
    """Whole numbers to real ones: made only where they are needed."""
    scales = out.scales_of(node)
    value = out.value(node.inputs[0])
    if scales is None:
        raise out.refusal(node, "with scales that are computed")
    if value.constant is not None:
        shape = [1] * value.constant.ndim
        if scales.scale.size > 1:
            shape[scales.axis] = -1
        zero = scales.zero + 128 if value.dtype == "uint8" else scales.zero
        content = (value.constant.astype(np.int32) - zero.reshape(shape)) * scales.scale.reshape(
            shape
        )
        known = type(value)(node.outputs[0], "float32", value.shape, content.astype(np.float32))
        out.program.values[node.outputs[0]] = known
        out.weights[node.outputs[0]] = (value.constant, scales)
        return
    held = out.place(node.inputs[0])
    out.put(node.outputs[0], Place(held.index, held.dtype, held.last, scales))


@lowers("Cast")
def cast(out: Layout, node: Node) -> None:
    """Another type."""
    last = out.lies_last(node.inputs[0])
    given = out.read(node.inputs[0], last)
    made = out.make(node.outputs[0], last)
    kinds = [out.model.tensors[index].type for index in (given, made)]
    out.model.operator(
        "CAST", [given], [made], options="Cast", inDataType=kinds[0], outDataType=kinds[1]
    )


def _chain(out: Layout, node: Node, steps: Sequence[tuple[str, float]]) -> None:
    """Write operators behind each other, each of the result before it and a number."""
    last, name = out.lies_last(node.inputs[0]), node.outputs[0]
    given = out.read(node.inputs[0], last)
    shape = turned(out.value(name).shape, last)
    for place, (kind, number) in enumerate(steps):
        done = place == len(steps) - 1
        made = out.make(name, last) if done else out.model.tensor(f"{name}/part", shape, "float32")
        options = {"options": kind.title()} if kind in _WITH_OPTIONS else {}
        out.model.operator(kind, [given, out.real("number", number)], [made], **options)
        given = made


@lowers("Clip")
def clip(out: Layout, node: Node) -> None:
    """Limits, as a maximum and a minimum."""
    steps = [
        (kind, float(out.demand(node, limit).ravel()[0]))
        for kind, limit in zip(("MAXIMUM", "MINIMUM"), node.inputs[1:], strict=False)
        if limit
    ]
    if steps:
        _chain(out, node, steps)
    else:
        same(out, node)


@lowers("HardSigmoid")
def hard_sigmoid(out: Layout, node: Node) -> None:
    """A line between 0 and 1."""
    line = ("MUL", float(node.get("alpha", 0.2))), ("ADD", float(node.get("beta", 0.5)))
    _chain(out, node, [*line, ("MAXIMUM", 0.0), ("MINIMUM", 1.0)])


@lowers("IsNaN", "IsInf")
def special(out: Layout, node: Node) -> None:
    """A number that is not itself; one whose size is infinite."""
    last = out.lies_last(node.inputs[0])
    given = out.read(node.inputs[0], last)
    if node.op == "IsNaN":
        out.model.operator("NOT_EQUAL", [given, given], [out.make(node.outputs[0], last)])
        return
    size = out.model.tensor("size", turned(out.value(node.inputs[0]).shape, last), "float32")
    out.model.operator("ABS", [given], [size])
    made = out.make(node.outputs[0], last)
    out.model.operator("EQUAL", [size, out.real("infinite", np.inf)], [made])


@lowers("Where")
def where(out: Layout, node: Node) -> None:
    """One or the other."""
    rank = len(out.value(node.outputs[0]).shape)
    last = rank == 4 and any(out.lies_last(name) for name in node.inputs)
    given = [_operand(out, name, rank, last).index for name in node.inputs]
    out.model.operator("SELECT_V2", given, [out.make(node.outputs[0], last)])


@lowers("Pow")
def power(out: Layout, node: Node) -> None:
    """Powers."""
    last = out.lies_last(node.inputs[0])
    rank = len(out.value(node.outputs[0]).shape)
    given = [_operand(out, name, rank, last).index for name in node.inputs]
    out.model.operator("POW", given, [out.make(node.outputs[0], last)])


@lowers("Transpose")
def transpose(out: Layout, node: Node) -> None:
    """Between the two orders of an image nothing moves; else the axes are turned."""
    order, name = tuple(int(axis) for axis in node.get("perm")), node.outputs[0]
    held = out.place(node.inputs[0])
    if order == (0, 3, 1, 2) and not held.last:
        out.put(name, Place(held.index, held.dtype, True, held.scales))
        return
    if order == LAST and held.last:
        out.put(name, Place(held.index, held.dtype, False, held.scales))
        return
    given = out.read(node.inputs[0])
    made = out.make(name)
    out.model.operator("TRANSPOSE", [given, out.ints("order", order)], [made], options="Transpose")


@lowers("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(out: Layout, node: Node) -> None:
    """Another shape; channels first before."""
    held = out.at(node.inputs[0], False, real=False)
    shape = out.value(node.outputs[0]).shape
    made = out.make(node.outputs[0], False, held.dtype, held.scales)
    out.model.operator("RESHAPE", [held.index, out.ints("shape", shape)], [made])


@lowers("Concat")
def concat(out: Layout, node: Node) -> None:
    """Put arrays behind each other."""
    rank = len(out.value(node.outputs[0]).shape)
    axis = int(node.get("axis")) % rank
    last = rank == 4 and any(out.lies_last(name) for name in node.inputs)
    given = [out.read(name, last) for name in node.inputs]
    place = LAST.index(axis) if last else axis
    made = out.make(node.outputs[0], last)
    out.model.operator("CONCATENATION", given, [made], options="Concatenation", axis=place)


@lowers("Slice")
def cut(out: Layout, node: Node) -> None:
    """A part of some axes."""
    shape = out.value(node.inputs[0]).shape
    starts, ends = (out.demand(node, node.inputs[i]).ravel() for i in (1, 2))
    more = [out.demand(node, name).ravel() if name else None for name in node.inputs[3:5]]
    axes = more[0] if more and more[0] is not None else np.arange(len(starts))
    steps = more[1] if len(more) > 1 and more[1] is not None else np.ones(len(starts), int)
    if (steps != 1).any():
        raise out.refusal(node, "in steps")
    begin = [0] * len(shape)
    for axis, start, end in zip(axes, starts, ends, strict=True):
        begin[axis] = range(shape[axis])[int(start) : int(end)].start
    last = out.lies_last(node.inputs[0])
    given = out.read(node.inputs[0], last)
    sizes = turned(out.value(node.outputs[0]).shape, last)
    places = [out.ints("begin", turned(tuple(begin), last)), out.ints("size", sizes)]
    out.model.operator("SLICE", [given, *places], [out.make(node.outputs[0], last)])


@lowers("Gather")
def gather(out: Layout, node: Node) -> None:
    """Elements along an axis, by constant positions."""
    rank = len(out.value(node.inputs[0]).shape)
    axis, picks = int(node.get("axis", 0)) % rank, out.demand(node, node.inputs[1])
    picks = picks % out.value(node.inputs[0]).shape[axis]
    last = out.lies_last(node.inputs[0]) and picks.ndim == 1
    place = LAST.index(axis) if last else axis
    index = out.model.tensor("picks", picks.shape, "int32", picks.astype(np.int32))
    given, made = out.read(node.inputs[0], last), out.make(node.outputs[0], last)
    out.model.operator("GATHER", [given, index], [made], options="Gather", axis=place)


@lowers("Softmax")
def softmax(out: Layout, node: Node) -> None:
    """Shares along the last axis."""
    rank = len(out.value(node.inputs[0]).shape)
    if int(node.get("axis", -1)) % rank != rank - 1:
        raise out.refusal(node, "along another axis than the last")
    given, made = out.read(node.inputs[0]), out.make(node.outputs[0])
    out.model.operator("SOFTMAX", [given], [made], options="Softmax", beta=1.0)


_REDUCING = {
    "ReduceMean": "MEAN",
    "GlobalAveragePool": "MEAN",
    "ReduceSum": "SUM",
    "ReduceMax": "REDUCE_MAX",
    "GlobalMaxPool": "REDUCE_MAX",
}


@lowers(*_REDUCING)
def reduce(out: Layout, node: Node) -> None:
    """One number from all along some axes."""
    whole = node.op.startswith("Global")
    rank = len(out.value(node.inputs[0]).shape)
    axes = list(range(2, rank)) if whole else axes_of(out, node)
    keep = whole or bool(node.get("keepdims", 1))
    held = out.lies_last(node.inputs[0])
    given = out.read(node.inputs[0], held)
    places = tuple(LAST.index(axis) for axis in axes) if held else tuple(axes)
    last = held and keep
    made = out.make(node.outputs[0], last)
    kind = _REDUCING[node.op]
    ints = out.ints("axes", places)
    out.model.operator(kind, [given, ints], [made], options="Reducer", keepDims=keep)
