"""What OpenVINO needs to compute what a graph says."""

from __future__ import annotations

from typing import Any

import numpy as np


def resize_smoothly(model: Any) -> None:
    """Give a converted ``openvino.Model`` the antialiasing that its graph asks for.

    OpenVINO's converter takes note of it, and its processor plug-in leaves it out: images that are
    shrunk then differ by up to nearly half of the range of their values.
    """
    from openvino import opset13 as ops

    for node in list(model.get_ops()):
        if node.get_type_name() != "Interpolate":
            continue
        known = node.get_attributes()
        if not (known["antialias"] and known["mode"].startswith("linear")):
            continue
        if known["shape_calculation_mode"] != "sizes":
            continue
        values = node.input_value(0)
        for axis in (2, 3):
            values = _resized(ops, values, node.input_value(1), axis)
        node.output(0).replace(values)


def _resized(ops: Any, values: Any, sizes: Any, axis: int) -> Any:
    """Return one axis resized as ONNX Runtime does: by a triangle, wider the more it shrinks.

    What lies outside counts as what lies at the edge. The weights are a matrix of the sizes.
    """

    def real(node: Any) -> Any:
        return ops.convert(node, "f32")

    first, half = np.array(0, np.int64), np.float32(0.5)
    place = np.array(axis, np.int64)
    before = real(ops.gather(ops.shape_of(values), place, first))
    after = real(ops.gather(sizes, place, first))
    scale = ops.divide(before, after)
    reach = ops.maximum(scale, np.float32(1))
    more = ops.ceiling(reach)
    there = np.eye(4, dtype=np.int64)[axis]
    padding = ops.multiply(ops.convert(more, "i64"), there)
    step, zero = np.float32(1), np.float32(0)
    seen = ops.range(ops.negative(more), ops.add(before, more), step, output_type="f32")
    made = ops.range(zero, after, step, output_type="f32")
    centre = ops.subtract(ops.multiply(ops.add(made, half), scale), half)
    apart = ops.subtract(ops.unsqueeze(seen, first), ops.unsqueeze(centre, np.array(1, np.int64)))
    weight = ops.relu(ops.subtract(step, ops.divide(ops.abs(apart), reach)))
    whole = ops.reduce_sum(weight, np.array(1, np.int64), keep_dims=True)
    matrix = ops.divide(weight, whole)
    padded = ops.pad(values, padding, padding, "edge")
    if axis == 2:
        return ops.matmul(matrix, padded, False, False).output(0)
    return ops.matmul(padded, matrix, False, True).output(0)
