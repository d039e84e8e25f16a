"""Layers of networks: products, convolutions, pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lepta.edge.c.operators.base import lowers
from lepta.edge.c.operators.elementwise import each
from lepta.edge.c.operators.moving import moved
from lepta.edge.c.text import literal
from lepta.edge.c.writer import Sink, Writer, broadcast_strides, strides_of
from lepta.edge.program import Array, Node, Shape, Value


@dataclass(frozen=True)
class Operand:
    """One side of a product: real, or whole numbers that stand for real ones."""

    at: str
    kind: str
    zero: int = 0
    scale: float = 1.0


@dataclass(frozen=True)
class Weights:
    """Constant weights (outputs, ...): as they stand in the graph, and the scale of each output."""

    values: Array
    scales: Array
    zero: int = 0


def operand(out: Writer, name: str) -> Operand:
    """Return an input as it lies in memory."""
    view = out.quantised.get(name)
    if view is None or not view.plain or out.constant(view.source) is not None:
        return Operand(out.pointer(name), "float")
    zero, scale = int(view.zero.ravel()[0]), float(view.scale.ravel()[0])
    return Operand(out.pointer(view.source), out.kind(view.source), zero, scale)


def weights(out: Writer, name: str, axis: int) -> Weights | None:
    """Return constant weights whose outputs run along ``axis``; None where they are computed."""
    view = out.quantised.get(name)
    content = out.constant(view.source if view else name)
    if content is None:
        return None
    scales, zero = np.ones(1, np.float32), 0
    if view is not None:
        along = view.axis + content.ndim if view.axis < 0 else view.axis
        if view.zero.min() != view.zero.max() or not (view.plain or along == axis):
            content = view.real(content)
        else:
            scales, zero = view.scale.ravel().astype(np.float32), int(view.zero.ravel()[0])
    return Weights(np.ascontiguousarray(np.moveaxis(content, axis, 0)), scales, zero)


def _types(left: Operand, held: Weights, sink: Sink, out: Writer) -> dict[str, str]:
    """Return what is filled in the functions of products, the sums and the result aside."""
    whole = held.values.dtype.kind in "iu" and left.kind != "float"
    small = held.values.dtype.kind in "iu"
    kind = out.kind(sink.name) if sink.scale is not None else "float"
    result = f"{out.quantise(kind)}(value, step, zero)" if sink.scale is not None else "value"
    return {
        "A": left.kind,
        "B": f"{held.values.dtype}_t" if small else "float",
        "Y": kind,
        "S": "int32_t" if whole else "float",
        "OUT": result,
    }


def _reading(kinds: dict[str, str], a: str, b: str, za: str, zb: str) -> tuple[str, str]:
    """Return how an element of either side is read."""
    whole = kinds["S"] == "int32_t"
    left = f"({a} - {za})" if whole else a
    if not whole and kinds["A"] != "float":
        left = f"(float)({a} - {za})"
    right = f"({b} - {zb})" if whole else f"(float)({b} - {zb})" if kinds["B"] != "float" else b
    return left, right


def _ends(sink: Sink) -> str:
    low, high = literal(sink.low, "float"), literal(sink.high, "float")
    step = literal(1.0 if sink.scale is None else sink.scale, "float")
    return f"{low}, {high}, {step}, {sink.zero}"


def _scales(left: Operand, held: Weights) -> Array:
    factor = np.float32(left.scale) if held.values.dtype.kind in "iu" or left.scale != 1 else 1.0
    return (held.scales * np.float32(factor)).astype(np.float32)


@lowers("Conv")
def convolution(out: Writer, node: Node) -> None:
    """Convolutions of one or two axes, in groups."""
    x, y = out.value(node.inputs[0]).shape, out.value(node.outputs[0]).shape
    spatial = len(x) - 2
    held = weights(out, node.inputs[1], 0)
    if spatial not in (1, 2) or held is None:
        raise out.refusal(node, f"along {spatial} axes, or with weights that are computed")
    window = held.values.shape[2:]
    strides, dilations = (_pair(node.get(n), 1) for n in ("strides", "dilations"))
    before, _ = _pads(node, x[2:], window, strides, dilations)
    left = operand(out, node.inputs[0])
    bias = out.pointer(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else "NULL"
    sink = out.sink(node)
    to = out.define(sink.name)
    kinds, groups, scales = (
        _types(left, held, sink, out),
        int(node.get("group", 1)),
        _scales(left, held),
    )
    row = out.scratch(kinds["S"], y[-1])
    high, wide = (_two(shape) for shape in (x[2:], y[2:]))
    p = [groups, x[1] // groups, y[1] // groups, *high, *wide, *_two(window), *strides, *before]
    p += [*dilations, left.zero, held.zero, int(scales.size > 1)]
    pixel, weight = _reading(
        kinds, "row[from * p[10] + shift]", "filter[(k * KH + ky) * KW + kx]", "za", "zb"
    )
    kernel = out.kernel("conv", **kinds, PIXEL=pixel, WEIGHT=weight)
    table = out.table(np.array(p, np.int32))
    out.line(
        f"{kernel}({left.at}, {out.table(held.values)}, {out.table(scales)}, {bias}, {to}, {row}, "
        f"{table}, {_ends(sink)});"
    )


def _two(shape: Sequence[int]) -> tuple[int, int]:
    return (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])


def _pair(given: Sequence[int] | None, default: int) -> list[int]:
    values = [int(v) for v in given] if given is not None else [default, default]
    return [default, *values] if len(values) == 1 else values


def _pads(
    node: Node, shape: Shape, window: Shape, strides: list[int], dilations: list[int]
) -> tuple[list[int], list[int]]:
    """Return how much is padded before and after, for both axes."""
    count = len(shape)
    auto = node.get("auto_pad", "NOTSET")
    if auto.startswith("SAME"):
        sizes, spans = _two(shape), _two(window)
        both = [
            max(0, (-(-size // step) - 1) * step + (span - 1) * wide + 1 - size)
            for size, span, step, wide in zip(sizes, spans, strides, dilations, strict=True)
        ]
        less, more = [p // 2 for p in both], [p - p // 2 for p in both]
        return (less, more) if auto == "SAME_UPPER" else (more, less)
    given = list(node.get("pads", [0] * 2 * count))
    return _pair(given[:count], 0), _pair(given[count:], 0)


@lowers("MaxPool", "AveragePool")
def pool(out: Writer, node: Node) -> None:
    """The maximum or the mean of each window."""
    x, y = out.value(node.inputs[0]).shape, out.value(node.outputs[0]).shape
    if len(x) not in (3, 4) or any(node.outputs[1:]):
        raise out.refusal(node, "along more than two axes, or with positions")
    window = tuple(node.get("kernel_shape"))
    strides, dilations = (_pair(node.get(n), 1) for n in ("strides", "dilations"))
    before, after = _pads(node, x[2:], window, strides, dilations)
    p = [x[1], *_two(x[2:]), *_two(y[2:]), *_two(window), *strides, *before, *dilations]
    if node.op == "MaxPool":
        to, of = moved(out, node.outputs[0], node.inputs[0])
        view = out.quantised.get(node.outputs[0])
        kind = out.kind(view.source if view else node.outputs[0])
        kernel = out.kernel("pool_max", X=kind)
    else:
        of = out.pointer(node.inputs[0])
        to, kernel = out.define(node.outputs[0]), out.kernel("pool_mean")
        p += [*after, int(node.get("count_include_pad", 0))]
    out.line(f"{kernel}({of}, {to}, {out.table(np.array(p, np.int32))});")


@lowers("BatchNormalization")
def batch_normalization(out: Writer, node: Node) -> None:
    """A scale and a shift for each channel (Ioffe and Szegedy 2015)."""
    scale, shift, mean, variance = (
        out.demand(node, name).astype(np.float64) for name in node.inputs[1:5]
    )
    factor = scale / np.sqrt(variance + float(node.get("epsilon", 1e-5)))
    rank = len(out.value(node.inputs[0]).shape)
    names = []
    for stem, values in (("factor", factor), ("rest", shift - mean * factor)):
        name = f"{node.outputs[0]}/{stem}"
        content = values.astype(np.float32).reshape((-1, *[1] * (rank - 2)))
        out.program.values[name] = Value(name, "float32", content.shape, content)
        names.append(name)
    each(out, node, [node.inputs[0], *names], lambda x, a, b: f"{x} * {a} + {b}")


@lowers("Gemm")
def gemm(out: Writer, node: Node) -> None:
    """Alpha A B + beta C."""
    alpha, beta = float(node.get("alpha", 1.0)), float(node.get("beta", 1.0))
    swapped = bool(node.get("transB", 0))
    shape = out.value(node.inputs[0]).shape
    rows, inner = shape[::-1] if node.get("transA", 0) else shape
    steps = (1, rows) if node.get("transA", 0) else (inner, 1)
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    if bias and beta != 1:
        raise out.refusal(node, "with a beta other than 1")
    width = out.value(node.outputs[0]).shape[1]
    _product(out, node, (rows, inner, width), steps, swapped, (alpha, bias))


@lowers("MatMul")
def matmul(out: Writer, node: Node) -> None:
    """Products of matrices, several at once where there are more axes."""
    a, b = (out.value(name).shape for name in node.inputs)
    wide = weights(out, node.inputs[1], 1) if len(b) == 2 else None
    if wide is not None:
        rows = int(np.prod(a[:-1]))
        _product(out, node, (rows, a[-1], b[1]), (a[-1], 1), False, (1.0, ""))
        return
    _batched(out, node, a if len(a) > 1 else (1, *a), b if len(b) > 1 else (*b, 1))


def _product(
    out: Writer,
    node: Node,
    sizes: tuple[int, int, int],
    steps: tuple[int, int],
    swapped: bool,
    more: tuple[float, str],
) -> None:
    rows, inner, width = sizes
    alpha, bias = more
    held = weights(out, node.inputs[1], 0 if swapped else 1)
    left = operand(out, node.inputs[0])
    if held is None:
        held = Weights(np.zeros(0, np.float32), np.ones(1, np.float32))
        right, strides = out.pointer(node.inputs[1]), (inner, 1) if swapped else (1, width)
    else:
        right, strides = out.table(held.values), (inner, 1)
    place, along = "NULL", (0, 0)
    if bias:
        place = out.pointer(bias)
        shape = (1, 1, *out.value(bias).shape)[-2:]
        along = tuple(0 if s == 1 else n for s, n in zip(shape, (shape[1], 1), strict=True))  # type: ignore[assignment]
    sink = out.sink(node)
    to = out.define(sink.name)
    kinds = _types(left, held, sink, out)
    scales = _scales(left, held) * np.float32(alpha)
    p = [rows, width, inner, *steps, *strides, *along, int(scales.size > 1), left.zero, held.zero]
    first, second = _reading(kinds, "left[k * p[4]]", "right[k * p[6]]", "p[10]", "p[11]")
    kernel = out.kernel("dense", **kinds, LEFT=first, RIGHT=second)
    table = out.table(np.array(p, np.int32))
    out.line(
        f"{kernel}({left.at}, {right}, {out.table(scales.astype(np.float32))}, {place}, {to}, "
        f"{table}, {_ends(sink)});"
    )


def _batched(out: Writer, node: Node, a: Shape, b: Shape) -> None:
    """Several products, of matrices that may each be used more than once."""
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    rows, inner, width = a[-2], a[-1], b[-1]
    left, right = (out.pointer(name) for name in node.inputs)
    to = out.define(node.outputs[0])
    p = [rows, width, inner, inner, 1, 1, width, 0, 0, 0, 0, 0]
    kinds = dict.fromkeys(("A", "B", "Y", "S"), "float")
    fill = {"OUT": "value", "LEFT": "left[k * p[4]]", "RIGHT": "right[k * p[6]]"}
    kernel, table = out.kernel("dense", **kinds, **fill), out.table(np.array(p, np.int32))
    one = out.table(np.ones(1, np.float32))
    strides = [
        tuple(s * n for s in broadcast_strides(shape[:-2], batch))
        for shape, n in ((a, rows * inner), (b, inner * width))
    ]
    steps = [tuple(s * rows * width for s in strides_of(batch)), *strides]
    with out.loops(batch, steps) as (at, of_a, of_b):
        out.line(
            f"{kernel}({left} + {of_a}, {right} + {of_b}, {one}, NULL, {to} + {at}, {table}, "
            f"{_ends(Sink(''))});"
        )
