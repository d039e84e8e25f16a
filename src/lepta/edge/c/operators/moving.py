"""Operators that move elements and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lepta.edge.c.operators.base import axis_of, lowers
from lepta.edge.c.writer import Strides, Writer, broadcast_strides, strides_of
from lepta.edge.program import Node, Shape


@lowers("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout")
def same(out: Writer, node: Node) -> None:
    """The same elements in another shape."""
    out.alias(node.outputs[0], node.inputs[0])


def moved(out: Writer, name: str, source: str) -> tuple[str, str]:
    """Return (expression of the target, of the source) for elements that are only moved.

    What is quantised stays so.
    """
    view = out.quantised.get(source)
    if view is None or not view.plain:
        return out.define(name), out.pointer(source)
    base = out.pointer(view.source)
    inner = f"{name}/quantised"
    out.program.values[inner] = replace(
        out.value(name), name=inner, dtype=out.value(view.source).dtype
    )
    target = out.define(inner)
    out.stands_for(name, replace(view, source=inner))
    return target, base


def copy(
    out: Writer,
    target: tuple[str, int, Strides],
    source: tuple[str, int, Strides],
    shape: Shape,
) -> None:
    """Write a copy; each side is an expression, an offset and strides."""
    with out.loops(shape, [target[2], source[2]]) as (to, of):
        out.line(
            f"{target[0]}[{_shifted(to, target[1])}] = {source[0]}[{_shifted(of, source[1])}];"
        )


def _shifted(index: str, offset: int) -> str:
    if not offset:
        return index
    return str(offset) if index == "0" else f"{index} + {offset}"


@lowers("Transpose")
def transpose(out: Writer, node: Node) -> None:
    """Axes in another order; none is moved in memory where the sizes allow it."""
    shape = out.value(node.inputs[0]).shape
    order = [int(axis) for axis in node.get("perm", range(len(shape))[::-1])]
    wide = [axis for axis in order if shape[axis] > 1]
    if wide == sorted(wide):
        out.alias(node.outputs[0], node.inputs[0])
        return
    own = strides_of(shape)
    result = tuple(shape[axis] for axis in order)
    to, of = moved(out, node.outputs[0], node.inputs[0])
    copy(out, (to, 0, strides_of(result)), (of, 0, tuple(own[a] for a in order)), result)


@lowers("Expand", "Tile")
def expand(out: Writer, node: Node) -> None:
    """Repeat along axes of size 1."""
    shape, result = out.value(node.inputs[0]).shape, out.value(node.outputs[0]).shape
    fits = all(a in (1, b) for a, b in zip(shape[::-1], result[::-1], strict=False))
    if not fits:
        raise out.refusal(node, "along an axis of more than one element")
    to, of = moved(out, node.outputs[0], node.inputs[0])
    copy(out, (to, 0, strides_of(result)), (of, 0, broadcast_strides(shape, result)), result)


@lowers("Concat")
def concat(out: Writer, node: Node) -> None:
    """Put arrays behind each other along an axis."""
    sink = out.sink(node)
    shape = out.value(node.outputs[0]).shape
    axis, whole = axis_of(node, len(shape), 0), strides_of(out.value(node.outputs[0]).shape)
    reads = [out.at(name) for name in node.inputs]
    out.define(sink.name)
    offset = 0
    for name, read in zip(node.inputs, reads, strict=True):
        part = out.value(name).shape
        with out.loops(part, [whole, strides_of(part)]) as (to, of):
            out.line(out.store(sink, _shifted(to, offset), read(of)))
        offset += part[axis] * whole[axis]


@lowers("Slice")
def cut(out: Writer, node: Node) -> None:
    """Take a part of some axes, in steps, from either end."""
    shape = out.value(node.inputs[0]).shape
    starts, ends = (out.demand(node, node.inputs[i]).ravel() for i in (1, 2))
    given = [out.demand(node, name).ravel() if name else None for name in node.inputs[3:5]]
    axes = given[0] if given and given[0] is not None else np.arange(len(starts))
    steps = given[1] if len(given) > 1 and given[1] is not None else np.ones(len(starts), int)
    own, offset = list(strides_of(shape)), 0
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        first = range(shape[axis])[int(start) : int(end) : int(step)]
        offset += (first[0] if len(first) else 0) * own[axis]
        own[axis] *= int(step)
    result = out.value(node.outputs[0]).shape
    to, of = moved(out, node.outputs[0], node.inputs[0])
    copy(out, (to, 0, strides_of(result)), (of, offset, tuple(own)), result)


@lowers("Split")
def split(out: Writer, node: Node) -> None:
    """Cut an axis into pieces."""
    shape = out.value(node.inputs[0]).shape
    axis, own, offset = axis_of(node, len(shape), 0), strides_of(shape), 0
    for name in node.outputs:
        part = out.value(name).shape
        if out.last(name) > out.step or name == out.program.output:
            to, of = moved(out, name, node.inputs[0])
            copy(out, (to, 0, strides_of(part)), (of, offset, own), part)
        offset += part[axis] * own[axis]


@lowers("Pad")
def pad(out: Writer, node: Node) -> None:
    """Add constant elements at the ends."""
    if node.get("mode", "constant") != "constant":
        raise out.refusal(node, f"in mode {node.get('mode')}")
    shape, result = out.value(node.inputs[0]).shape, out.value(node.outputs[0]).shape
    pads = out.demand(node, node.inputs[1]).ravel()
    before = [0] * len(shape)
    axes: Sequence[int] = range(len(shape))
    if len(node.inputs) > 3 and node.inputs[3]:
        axes = out.demand(node, node.inputs[3]).ravel().tolist()
    for axis, count in zip(axes, pads[: len(axes)], strict=True):
        before[axis] = int(count)
    if min([*before, *pads.tolist()]) < 0:
        raise out.refusal(node, "with less than nothing")
    fill = out.at(node.inputs[2])("0") if len(node.inputs) > 2 and node.inputs[2] else "0"
    whole, of = strides_of(result), out.pointer(node.inputs[0])
    to = out.define(node.outputs[0])
    with out.loops(result, [whole]) as (index,):
        out.line(f"{to}[{index}] = {fill};")
    offset = sum(a * b for a, b in zip(before, whole, strict=True))
    copy(out, (to, offset, whole), (of, 0, strides_of(shape)), shape)


@lowers("Gather")
def gather(out: Writer, node: Node) -> None:
    """Take elements along an axis by their positions."""
    data, chosen = node.inputs[:2]
    shape, picks = out.value(data).shape, out.value(chosen)
    axis = axis_of(node, len(shape), 0)
    outer, inner = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
    positions = out.constant(chosen)
    if positions is not None:
        positions = positions % shape[axis]
    if positions is not None and positions.size == 1:
        to, of = moved(out, node.outputs[0], data)
        target = (to, 0, (inner, 1))
        copy(
            out,
            target,
            (of, int(positions.ravel()[0]) * inner, (shape[axis] * inner, 1)),
            (outer, inner),
        )
        return
    index = out.table(positions.astype(np.int32)) if positions is not None else out.pointer(chosen)
    to, of = moved(out, node.outputs[0], data)
    sizes = (outer, picks.size, inner)
    steps = [strides_of(sizes), (shape[axis] * inner, 0, 1), (0, 1, 0)]
    with out.loops(sizes, steps) as (target_at, source_at, pick):
        at = f"{index}[{pick}]"
        if positions is None:
            at = f"({at} < 0 ? {at} + {shape[axis]} : {at})"
        out.line(f"{to}[{target_at}] = {of}[{source_at} + {at} * {inner}];")


@lowers("OneHot")
def one_hot(out: Writer, node: Node) -> None:
    """A row of zeros and a one for each code."""
    depth = int(out.demand(node, node.inputs[1]).ravel()[0])
    off, on = out.demand(node, node.inputs[2]).ravel()
    codes = out.value(node.inputs[0])
    axis = axis_of(node, len(codes.shape) + 1, -1)
    outer, inner = int(np.prod(codes.shape[:axis])), int(np.prod(codes.shape[axis:]))
    read = out.at(node.inputs[0])
    to, kind = out.define(node.outputs[0]), out.kind(node.outputs[0])
    sizes = (outer, depth, inner)
    with out.loops(sizes, [strides_of(sizes), (inner, 0, 1), (0, 1, 0)]) as (target_at, at, place):
        code = f"(int32_t){read(at)}"
        test = f"{place} == ({code} < 0 ? {code} + {depth} : {code})"
        yes, no = (f"({kind}){value:g}" for value in (float(on), float(off)))
        out.line(f"{to}[{target_at}] = {test} ? {yes} : {no};")


@lowers("CumSum")
def running(out: Writer, node: Node) -> None:
    """Sums of all elements so far along an axis."""
    if node.get("exclusive", 0) or node.get("reverse", 0):
        raise out.refusal(node, "exclusive or in reverse")
    shape = out.value(node.inputs[0]).shape
    axis = int(out.demand(node, node.inputs[1]).ravel()[0]) % len(shape)
    n, inner = shape[axis], int(np.prod(shape[axis + 1 :]))
    of, own = out.pointer(node.inputs[0]), strides_of(shape)
    to = out.define(node.outputs[0])
    copy(out, (to, 0, own), (of, 0, own), shape)
    sizes = (int(np.prod(shape[:axis])), n - 1, inner)
    with out.loops(sizes, [(n * inner, inner, 1)]) as (index,):
        out.line(f"{to}[{_shifted(index, inner)}] += {to}[{index}];")
