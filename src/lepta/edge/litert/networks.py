"""Layers of networks for LiteRT: in whole numbers where all that they read and write is whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lepta.edge.litert.layout import Layout, Sink
from lepta.edge.litert.model import Scales
from lepta.edge.litert.operators import finish, lowers
from lepta.edge.program import Array, Node, Shape


def _activation(out: Layout, sink: Sink) -> int:
    return int(getattr(out.model.schema.ActivationFunctionType, sink.activation))


def _bias(
    out: Layout, node: Node, width: int, scale: Array | None, at: int = 2, factor: float = 1.0
) -> int:
    """Return the bias as a tensor: real, or whole in steps of ``scale``."""
    values = np.zeros(width, np.float32)
    if len(node.inputs) > at and node.inputs[at]:
        content = out.demand(node, node.inputs[at]).ravel()
        values = (np.broadcast_to(content, (width,)) * factor).astype(np.float32)
    if scale is None:
        return out.model.tensor("bias", (width,), "float32", values)
    steps = np.broadcast_to(scale, (width,)).astype(np.float64)
    whole = np.rint(values / steps).clip(-(2**31), 2**31 - 1).astype(np.int32)
    zeros = np.zeros(steps.shape, np.int64)
    return out.model.tensor("bias", (width,), "int32", whole, Scales(scale, zeros))


def _whole(out: Layout, node: Node, sink: Sink, axis: int) -> tuple[Array, Scales] | None:
    """Return whole weights and their scales, where input and result are whole too."""
    weights = out.weights.get(node.inputs[1])
    if weights is None or sink.scales is None or out.place(node.inputs[0]).scales is None:
        return None
    held, scales = weights
    along = scales.scale.size == 1 or scales.axis % held.ndim == axis
    return weights if str(held.dtype) == "int8" and along and not scales.zero.any() else None


def _pads(node: Node, window: Shape) -> list[int]:
    auto = node.get("auto_pad", "NOTSET")
    given = [int(p) for p in node.get("pads", [0, 0, 0, 0])]
    return [0, 0, 0, 0] if auto == "VALID" else given


def _padding(
    out: Layout, node: Node, window: Shape, strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, list[int]]:
    """Return the kind of padding, and how much is to be padded before."""
    kinds = out.model.schema.Padding
    if node.get("auto_pad", "NOTSET") == "SAME_UPPER":
        return int(kinds.SAME), [0] * 4
    if node.get("auto_pad", "NOTSET") == "SAME_LOWER":
        raise out.refusal(node, "with auto_pad SAME_LOWER")
    pads, sizes = _pads(node, window), out.value(node.inputs[0]).shape[2:]
    both = [
        max(0, (-(-size // step) - 1) * step + (span - 1) * wide + 1 - size)
        for size, span, step, wide in zip(sizes, window, strides, dilations, strict=True)
    ]
    usual = [p // 2 for p in both] + [p - p // 2 for p in both]
    if pads == usual and any(pads):
        return int(kinds.SAME), [0] * 4
    return int(kinds.VALID), pads


def _padded(out: Layout, node: Node, whole: bool, pads: list[int], lowest: bool) -> int:
    """Return the input, channels last, with elements added at its ends."""
    place = out.at(node.inputs[0], True, real=not whole)
    if not any(pads):
        return place.index
    n, c, h, w = out.value(node.inputs[0]).shape
    shape = (n, h + pads[0] + pads[2], w + pads[1] + pads[3], c)
    made = out.model.tensor("padded", shape, place.dtype, None, place.scales)
    table = np.array([[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]], np.int32)
    ends = out.model.tensor("pads", (4, 2), "int32", table)
    if not lowest:
        out.model.operator("PAD", [place.index, ends], [made], options="Pad")
        return made
    dtype = "int8" if whole else "float32"
    least = np.array(-128 if whole else np.finfo(np.float32).min, dtype)
    fill = out.model.tensor("least", (), dtype, least, place.scales)
    out.model.operator("PADV2", [place.index, ends, fill], [made], options="PadV2")
    return made


@lowers("Conv")
def convolution(out: Layout, node: Node) -> None:
    """Convolutions of images; those of single channels are of a kind of their own."""
    x, y = out.value(node.inputs[0]).shape, out.value(node.outputs[0]).shape
    if len(x) != 4:
        raise out.refusal(node, f"along {len(x) - 2} axes")
    weights, sink = out.demand(node, node.inputs[1]), out.sink(node)
    held = _whole(out, node, sink, 0)
    strides, dilations = ([int(v) for v in node.get(n, [1, 1])] for n in ("strides", "dilations"))
    kind, pads = _padding(out, node, weights.shape[2:], strides, dilations)
    given = _padded(out, node, held is not None, pads, lowest=False)
    alone = int(node.get("group", 1)) == x[1] and x[1] > 1
    order = (1, 2, 3, 0) if alone else (0, 2, 3, 1)
    options: dict[str, int] = {
        "padding": kind,
        "strideH": strides[0],
        "strideW": strides[1],
        "dilationHFactor": dilations[0],
        "dilationWFactor": dilations[1],
        "fusedActivationFunction": _activation(out, sink),
    }
    if alone:
        options["depthMultiplier"] = y[1] // x[1]
    name = "DepthwiseConv2D" if alone else "Conv2D"
    code = "DEPTHWISE_CONV_2D" if alone else "CONV_2D"
    filters, bias = _weights(out, node, held, weights, order, 3 if alone else 0, y[1])
    finish(
        out,
        sink,
        True,
        held is not None,
        lambda made: out.model.operator(
            code, [given, filters, bias], [made], options=name, **options
        ),
    )


def _weights(
    out: Layout,
    node: Node,
    held: tuple[Array, Scales] | None,
    real: Array,
    order: tuple[int, ...],
    axis: int,
    width: int,
) -> tuple[int, int]:
    """Return weights, with their axes in ``order`` and outputs along ``axis``, and the bias."""
    if held is None:
        turned = real.transpose(order)
        filters = out.model.tensor("weights", turned.shape, "float32", turned)
        return filters, _bias(out, node, width, None)
    values, scales = held
    turned = values.transpose(order)
    moved = Scales(scales.scale, np.zeros(scales.scale.shape, np.int64), axis)
    filters = out.model.tensor("weights", turned.shape, "int8", turned, moved)
    place = out.place(node.inputs[0]).scales
    assert place is not None  # noqa: S101
    steps = np.asarray(scales.scale.ravel() * float(place.scale.ravel()[0]), np.float32)
    return filters, _bias(out, node, width, steps)


@lowers("MaxPool", "AveragePool")
def pool(out: Layout, node: Node) -> None:
    """The maximum or the mean of each window; maxima of whole numbers are whole."""
    x = out.value(node.inputs[0]).shape
    window = tuple(node.get("kernel_shape"))
    strides, most = list(node.get("strides", [1, 1])), node.op == "MaxPool"
    if len(x) != 4 or node.get("ceil_mode", 0) or list(node.get("dilations", [1, 1])) != [1, 1]:
        raise out.refusal(node, "other than of images, without dilation, rounded down")
    kind, pads = _padding(out, node, window, strides, [1, 1])
    if any(pads) and not most:
        raise out.refusal(node, "with this padding")
    scales = out.place(node.inputs[0]).scales if most else None
    given = _padded(out, node, scales is not None, pads, lowest=True)
    made = out.make(node.outputs[0], True, "int8" if scales else "", scales)
    out.model.operator(
        "MAX_POOL_2D" if most else "AVERAGE_POOL_2D",
        [given],
        [made],
        options="Pool2D",
        padding=kind,
        strideH=strides[0],
        strideW=strides[1],
        filterHeight=window[0],
        filterWidth=window[1],
        fusedActivationFunction=0,
    )


@lowers("Gemm", "MatMul")
def product(out: Layout, node: Node) -> None:
    """Products with constant weights as dense layers; others as products of matrices."""
    constant = out.value(node.inputs[1]).constant
    if constant is None or constant.ndim != 2:
        if node.op == "Gemm":
            raise out.refusal(node, "with weights that are computed")
        sides = [out.read(name) for name in node.inputs]
        made = out.make(node.outputs[0])
        out.model.operator("BATCH_MATMUL", sides, [made], options="BatchMatMul")
        return
    if node.get("transA", 0):
        raise out.refusal(node, "of a turned input")
    sink, swapped = out.sink(node), bool(node.get("transB", 0))
    alpha, beta = float(node.get("alpha", 1)), float(node.get("beta", 1))
    held = _whole(out, node, sink, 0 if swapped else 1) if alpha == beta == 1 else None
    order = (0, 1) if swapped else (1, 0)
    width = constant.shape[0] if swapped else constant.shape[1]
    if held is None:
        weights = np.float32(alpha) * constant.transpose(order)
        filters = out.model.tensor("weights", weights.shape, "float32", weights)
        bias = _bias(out, node, width, None, factor=beta)
    else:
        filters, bias = _weights(out, node, held, constant, order, 0, width)
    given = out.at(node.inputs[0], False, real=held is None).index
    options = {"keepNumDims": True, "fusedActivationFunction": _activation(out, sink)}
    finish(
        out,
        sink,
        False,
        held is not None,
        lambda made: out.model.operator(
            "FULLY_CONNECTED", [given, filters, bias], [made], options="FullyConnected", **options
        ),
    )


@lowers("Resize")
def resize(out: Layout, node: Node) -> None:
    """Nothing, where the size stays: the model is bound to the size that it works at."""
    if out.value(node.inputs[0]).shape != out.value(node.outputs[0]).shape:
        raise out.refusal(node, "to another size")
    out.put(node.outputs[0], out.place(node.inputs[0]))
