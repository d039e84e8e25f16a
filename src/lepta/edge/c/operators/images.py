"""Images in other sizes."""

from __future__ import annotations

import numpy as np

from lepta.edge.c.operators.base import lowers
from lepta.edge.c.writer import Writer
from lepta.edge.program import Array, Node, Value, resampled


@lowers("Resize", "Upsample")
def resize(out: Writer, node: Node) -> None:
    """Weighted sums along one axis after the other; the weights are those of ONNX Runtime."""
    x, y = out.value(node.inputs[0]).shape, out.value(node.outputs[0]).shape
    if len(x) != 4 or x[:2] != y[:2] or node.op == "Upsample":
        raise out.refusal(node, "of other than the two last of four axes")
    if len(node.inputs) > 2 and node.inputs[2]:
        scales = out.demand(node, node.inputs[2]).ravel()
        if not np.allclose(scales[2:] * x[2:], y[2:]):
            raise out.refusal(node, "by a factor that gives no whole size")
    shape, name = list(x), node.inputs[0]
    for axis in (3, 2):
        matrix = resampled(node, x[axis], y[axis])
        if matrix.shape[0] == matrix.shape[1] and (matrix == np.eye(len(matrix))).all():
            continue
        shape[axis] = y[axis]
        name = _along(out, node, name, tuple(shape), axis, matrix)
    out.alias(node.outputs[0], name)


def _along(
    out: Writer, node: Node, name: str, shape: tuple[int, ...], axis: int, matrix: Array
) -> str:
    read = out.pointer(name)
    result = f"{node.outputs[0]}/{axis}"
    out.program.values[result] = Value(result, "float32", shape)
    m, n = matrix.shape
    first = np.array([np.flatnonzero(row)[0] if row.any() else 0 for row in matrix])
    last = np.array([np.flatnonzero(row)[-1] if row.any() else 0 for row in matrix])
    taps = int((last - first).max()) + 1
    first = np.minimum(first, n - taps)
    table = np.stack([row[at : at + taps] for row, at in zip(matrix, first, strict=True)])
    to, kernel = out.define(result), out.kernel("resample", X=out.kind(name))
    outer, inner = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
    places = f"{out.table(first.astype(np.int32))}, {out.table(table.astype(np.float32))}"
    out.line(f"{kernel}({read}, {to}, {outer}, {n}, {m}, {inner}, {taps}, {places});")
    return result
