"""Operators that sum, compare or rank along axes."""

from __future__ import annotations

import numpy as np

from lepta.edge.c.operators.base import axis_of, lowers
from lepta.edge.c.text import literal
from lepta.edge.c.writer import Writer, strides_of
from lepta.edge.program import Node

_STEPS = {
    "ReduceSum": ("0", "{y} += {x}", ""),
    "ReduceMean": ("0", "{y} += {x}", "{y} / {n}"),
    "ReduceSumSquare": ("0", "{y} += {x} * {x}", ""),
    "ReduceL1": ("0", "{y} += fabs{f}({x})", ""),
    "ReduceL2": ("0", "{y} += {x} * {x}", "sqrt{f}({y})"),
    "ReduceProd": ("1", "{y} *= {x}", ""),
    "ReduceMax": ("{x}", "if ({x} > {y}) {y} = {x}", ""),
    "ReduceMin": ("{x}", "if ({x} < {y}) {y} = {x}", ""),
    "ReduceLogSum": ("0", "{y} += {x}", "log{f}({y})"),
}


@lowers(*_STEPS)
def reduce(out: Writer, node: Node) -> None:
    """One number from all along some axes, which are given as an attribute or an input."""
    axes = node.get("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1]:
        axes = out.demand(node, node.inputs[1]).ravel().tolist()
    rank = len(out.value(node.inputs[0]).shape)
    if not axes:
        if node.get("noop_with_empty_axes", 0):
            out.alias(node.outputs[0], node.inputs[0])
            return
        axes = range(rank)
    _reduce(out, node, node.op, {axis % rank for axis in axes})


@lowers("GlobalAveragePool")
def mean_of_all(out: Writer, node: Node) -> None:
    """The mean of each channel."""
    _reduce(out, node, "ReduceMean", set(range(2, len(out.value(node.inputs[0]).shape))))


@lowers("GlobalMaxPool")
def most_of_all(out: Writer, node: Node) -> None:
    """The maximum of each channel."""
    _reduce(out, node, "ReduceMax", set(range(2, len(out.value(node.inputs[0]).shape))))


def _reduce(out: Writer, node: Node, op: str, axes: set[int]) -> None:
    start, step, end = _STEPS[op]
    shape, own = out.value(node.inputs[0]).shape, strides_of(out.value(node.inputs[0]).shape)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    gone = sorted(axes)
    outer, inner = tuple(shape[a] for a in kept), tuple(shape[a] for a in gone)
    read, sink = out.at(node.inputs[0]), out.sink(node)
    kind = out.kind(node.outputs[0])
    f = "f" if kind == "float" else ""
    out.define(sink.name)
    count = int(np.prod(inner))
    steps = [strides_of(outer), tuple(own[a] for a in kept)]
    with out.loops(outer, steps) as (to, base), out.block(""):
        first = start.format(x=read(base))
        out.line(f"{kind} y = {first};")
        base_of = "" if base == "0" else f"{base} + "
        names = [f"j{i}" for i in range(len(gone))]
        at = " + ".join(f"{n} * {own[a]}" for n, a in zip(names, gone, strict=True)) or "0"
        for name, size in zip(names, inner, strict=True):
            out.line(f"for (int32_t {name} = 0; {name} < {size}; ++{name})")
        out.line(f"    {step.format(y='y', x=read(base_of + at), f=f)};")
        out.line(out.store(sink, to, end.format(y="y", n=count, f=f) or "y"))


@lowers("Softmax", "LogSoftmax")
def softmax(out: Writer, node: Node) -> None:
    """Shares that add up to one."""
    shape = out.value(node.inputs[0]).shape
    axis = axis_of(node, len(shape), -1)
    x = out.pointer(node.inputs[0])
    to, kernel = out.define(node.outputs[0]), out.kernel("softmax")
    sizes = f"{int(np.prod(shape[:axis]))}, {shape[axis]}, {int(np.prod(shape[axis + 1 :]))}"
    out.line(f"{kernel}({x}, {to}, {sizes}, {int(node.op == 'LogSoftmax')});")


@lowers("LayerNormalization")
def layer_normalization(out: Writer, node: Node) -> None:
    """Mean 0 and variance 1 along the last axes (Ba et al. 2016)."""
    shape = out.value(node.inputs[0]).shape
    axis = axis_of(node, len(shape), -1)
    if any(node.outputs[1:]):
        raise out.refusal(node, "with more than one output")
    x, scale = out.pointer(node.inputs[0]), out.pointer(node.inputs[1])
    shift = out.pointer(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else "NULL"
    to, kernel = out.define(node.outputs[0]), out.kernel("normalise")
    rows, n = int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))
    epsilon = literal(node.get("epsilon", 1e-5), "float")
    out.line(f"{kernel}({x}, {to}, {rows}, {n}, {epsilon}, {scale}, {shift});")


@lowers("TopK")
def top(out: Writer, node: Node) -> None:
    """The largest or smallest of the last axis, in order."""
    shape = out.value(node.inputs[0]).shape
    if axis_of(node, len(shape), -1) != len(shape) - 1 or out.kind(node.inputs[0]) != "float":
        raise out.refusal(node, "along another axis than the last, or of other than float32")
    k = int(out.demand(node, node.inputs[1]).ravel()[0])
    rows, sign = int(np.prod(shape[:-1])), "1.0f" if node.get("largest", 1) else "-1.0f"
    x = out.pointer(node.inputs[0])
    places = [
        out.define(name) if name else out.scratch(kind, rows * k)
        for name, kind in zip(node.outputs, ("float", "int32_t"), strict=True)
    ]
    out.line(f"{out.kernel('top')}({x}, {', '.join(places)}, {rows}, {shape[-1]}, {k}, {sign});")


@lowers("ArgMax", "ArgMin")
def argument(out: Writer, node: Node) -> None:
    """Where the largest or smallest stands along an axis, the first of those that are alike."""
    if node.get("select_last_index", 0):
        raise out.refusal(node, "that selects the last of several")
    shape = out.value(node.inputs[0]).shape
    axis, sign = axis_of(node, len(shape), 0), ">" if node.op == "ArgMax" else "<"
    n, inner = shape[axis], int(np.prod(shape[axis + 1 :]))
    outer = (int(np.prod(shape[:axis])), inner)
    read, to = out.at(node.inputs[0]), out.define(node.outputs[0])
    with out.loops(outer, [(inner, 1), (n * inner, 1)]) as (index, base), out.block(""):
        out.line("int32_t best = 0;")
        out.line(f"for (int32_t j = 1; j < {n}; ++j)")
        here, there = read(f"{base} + j * {inner}"), read(f"{base} + best * {inner}")
        out.line(f"    if ({here} {sign} {there}) best = j;")
        out.line(f"{to}[{index}] = best;")
