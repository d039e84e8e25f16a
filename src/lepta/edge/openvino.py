"""The format of OpenVINO: for Intel's processors, graphics and NPUs, and for Arm."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lepta.bundle import Bundle
from lepta.core.errors import ExportError, Where, missing_extra
from lepta.core.files import atomic_write
from lepta.core.schema import Kind
from lepta.edge.parity import hold
from lepta.edge.places import file_at


def write_openvino(bundle: Bundle, path: Path) -> Path:
    """Write ``NAME.xml`` and ``NAME.bin``, after they computed the examples of the bundle.

    Returns:
        The path of the XML file.

    Raises:
        ExportError: OpenVINO does not know an operator, or computes something else.
        MissingExtraError: openvino is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise missing_extra("openvino", "edge", "The export to OpenVINO") from error
    target = file_at(path, ".xml", bundle).with_suffix(".xml")
    _refuse(bundle)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "model.xml"
        try:
            model = openvino.convert_model(_given(bundle, Path(folder)))
            _smooth(model)
            openvino.save_model(model, made, compress_to_fp16=False)
            compiled = openvino.Core().compile_model(
                made, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
            )
        except Exception as error:
            raise ExportError(
                f"OpenVINO does not take the graph: {_short(error)}",
                fix="Export to onnx or ort; trees and texts run in ONNX Runtime only.",
            ) from error
        hold(bundle, _runner(compiled), "OpenVINO")
        for place in (made.with_suffix(".bin"), made):
            with atomic_write(target.with_suffix(place.suffix)) as stream:
                stream.write(place.read_bytes())
    return target


def _refuse(bundle: Bundle) -> None:
    for spec in bundle.signature.inputs:
        if spec.dtype == "string":
            raise ExportError(
                f"The input {spec.name!r} is text to the graph, which OpenVINO does not take.",
                where=Where(field=spec.name),
                fix="Export to onnx or ort; or to c, where categories are looked up."
                if spec.kind == Kind.CATEGORY
                else "Export to onnx or ort.",
            )


def _smooth(model: Any) -> None:
    """Resize with the antialiasing that the graph asks for, which the converter leaves out."""
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


def _given(bundle: Bundle, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(bundle.read("model.onnx"))
    return path


def _runner(compiled: Any) -> Any:
    def run(tensors: Mapping[str, Any]) -> Any:
        return np.asarray(compiled(dict(tensors))[0])

    return run


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[-2:])[:400]
