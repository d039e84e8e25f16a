"""What the protocol tells of the service and its models: metadata, configuration, statistics."""

from __future__ import annotations

from typing import Any

from lepta import __version__
from lepta.serving.config import ServeConfig
from lepta.serving.dataplane import DataPlane, Model, Tensor
from lepta.serving.metrics import Metrics

EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
PLATFORM = "onnxruntime_onnx"


def server_metadata() -> dict[str, Any]:
    """Return name, version and extensions of the service."""
    return {"name": "lepta", "version": __version__, "extensions": list(EXTENSIONS)}


def model_metadata(model: Model, versions: list[str], config: ServeConfig) -> dict[str, Any]:
    """Return what a model takes and gives; ``parameters`` say what a Lepta client needs more."""
    return {
        "name": model.name,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [_tensor(tensor) for tensor in model.inputs],
        "outputs": [_tensor(tensor) for tensor in model.outputs],
        "parameters": {
            "version": model.version,
            "task": model.task.model_dump(mode="json"),
            "signature": model.signature.model_dump(mode="json"),
            "max_rows": config.max_rows,
            "max_body": config.max_body,
        },
    }


def model_config(model: Model, config: ServeConfig) -> dict[str, Any]:
    """Return a model's configuration in the form that Triton's clients read."""
    return {
        "name": model.name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "max_batch_size": config.max_rows,
        "input": [_config_tensor(tensor) for tensor in model.inputs],
        "output": [_config_tensor(tensor) for tensor in model.outputs],
    }


def model_stats(model: Model, metrics: Metrics) -> dict[str, Any]:
    """Return how often a model was asked and how long it took, in the form of Triton."""
    count, seconds = metrics.succeeded(model.name, model.version)
    return {
        "name": model.name,
        "version": model.version,
        "inference_count": count,
        "execution_count": count,
        "inference_stats": {
            "success": {"count": count, "ns": int(seconds * 1e9)},
            "fail": {"count": metrics.failed(model.name, model.version), "ns": 0},
        },
    }


def repository_index(plane: DataPlane) -> list[dict[str, str]]:
    """Return every version of every model and its state."""
    return [
        {"name": model.name, "version": model.version, "state": "READY", "reason": ""}
        for model in plane.models()
    ]


def _tensor(tensor: Tensor) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
    }
    if tensor.parameters:
        described["parameters"] = tensor.parameters
    return described


def _config_tensor(tensor: Tensor) -> dict[str, Any]:
    kind = "STRING" if tensor.datatype == "BYTES" else tensor.datatype
    return {"name": tensor.name, "data_type": f"TYPE_{kind}", "dims": list(tensor.shape[1:]) or [1]}
