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
from lepta.runtime.openvino import resize_smoothly


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
            resize_smoothly(model)
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
