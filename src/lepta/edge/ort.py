"""The format of ONNX Runtime for small devices: graph already optimised, read without protobuf."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from lepta.bundle import Bundle
from lepta.core.errors import ExportError
from lepta.core.files import atomic_write
from lepta.edge.parity import hold
from lepta.edge.places import file_at


def write_ort(bundle: Bundle, path: Path) -> Path:
    """Write ``NAME.ort``, with the optimisations that hold on every processor.

    Those that depend on the machine (other layouts of memory) ONNX Runtime makes when it loads.

    Returns:
        The path of the file.

    Raises:
        ExportError: ONNX Runtime cannot write it, or computes something else with it.
    """
    target = file_at(path, ".ort", bundle)
    data = _converted(bundle.read("model.onnx"))
    session, output = _session(data), bundle.task.output().name
    hold(bundle, lambda tensors: session.run([output], dict(tensors))[0], "ONNX Runtime")
    with atomic_write(target) as stream:
        stream.write(data)
    return target


def _session(model: bytes, save: Path | None = None) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if save is not None:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(save)
        options.add_session_config_entry("session.save_model_format", "ORT")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _converted(model: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "model.ort"
        try:
            _session(model, made)
        except Exception as error:
            raise ExportError(
                f"ONNX Runtime cannot write the graph in its own format: {error}",
                fix="Export to onnx.",
            ) from error
        return made.read_bytes()
