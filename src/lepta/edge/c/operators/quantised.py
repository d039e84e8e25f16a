"""Whole numbers that stand for real ones."""

from __future__ import annotations

import numpy as np

from lepta.edge.c.operators.base import lowers
from lepta.edge.c.operators.elementwise import each
from lepta.edge.c.operators.moving import same
from lepta.edge.c.text import literal
from lepta.edge.c.writer import Quantised, Writer
from lepta.edge.program import Node, Value


@lowers("DequantizeLinear")
def dequantize(out: Writer, node: Node) -> None:
    """Nothing yet: elements are computed where they are read, constants here."""
    scale = out.demand(node, node.inputs[1])
    zero = np.zeros(scale.shape, np.int32)
    if len(node.inputs) > 2 and node.inputs[2]:
        zero = out.demand(node, node.inputs[2])
    if node.get("block_size", 0):
        raise out.refusal(node, "in blocks")
    view = Quantised(node.inputs[0], scale, zero, int(node.get("axis", 1)))
    held = out.constant(node.inputs[0])
    if held is None and not view.plain:
        raise out.refusal(node, "with a scale for each channel of what is computed")
    if held is not None and str(held.dtype) == "int32":  # a bias: small, and exact as numbers
        values = view.real(held)
        out.program.values[node.outputs[0]] = Value(
            node.outputs[0], "float32", values.shape, values
        )
        return
    out.stands_for(node.outputs[0], view)


@lowers("QuantizeLinear")
def quantize(out: Writer, node: Node) -> None:
    """Round to one of 256 numbers; what was so already stays as it is."""
    scale = out.demand(node, node.inputs[1])
    zero = out.demand(node, node.inputs[2]) if len(node.inputs) > 2 else np.zeros(1, np.uint8)
    kind = out.kind(node.outputs[0])
    if scale.size != 1 or kind not in ("uint8_t", "int8_t"):
        raise out.refusal(node, "other than to 8 bits with one scale")
    view = out.quantised.get(node.inputs[0])
    if (
        view is not None
        and view.plain
        and float(view.scale.ravel()[0]) == float(scale.ravel()[0])
        and int(view.zero.ravel()[0]) == int(zero.ravel()[0])
        and out.kind(view.source) == kind
    ):
        same(out, Node("Identity", node.name, (view.source,), node.outputs))
        return
    rounds = out.quantise(kind)
    step, centre = literal(scale.ravel()[0], "float"), int(zero.ravel()[0])
    each(out, node, node.inputs[:1], lambda x: f"{rounds}({x}, {step}, {centre})")
