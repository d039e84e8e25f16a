"""Forms that cannot be made from the graph of a bundle, and what serves instead."""

from __future__ import annotations

from pathlib import Path

from lepta.bundle import Bundle
from lepta.core.errors import ExportError


def write_coreml(bundle: Bundle, path: Path) -> Path:
    """Refuse: Apple's converter takes programs of torch and TensorFlow, not ONNX.

    Raises:
        ExportError: always.
    """
    raise ExportError(
        "Core ML cannot be written from a bundle: coremltools has taken no ONNX since version 6.",
        fix="Export to ort: on iPhones and Macs, ONNX Runtime hands it to Core ML with its "
        "CoreMLExecutionProvider.",
    )


def write_executorch(bundle: Bundle, path: Path) -> Path:
    """Refuse: ExecuTorch takes exported torch modules, and a bundle holds a graph of ONNX.

    Raises:
        ExportError: always.
    """
    raise ExportError(
        "ExecuTorch cannot be written from a bundle: it takes modules of torch, not ONNX.",
        fix="Export to ort for phones, or to c for micro-controllers.",
    )
