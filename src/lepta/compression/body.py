"""Which nodes of a graph are the network's body: what lies between its first and last weights.

Preprocessing stands before it (look-ups, imputation, resizing, intensity windows), the task's last
step and calibration behind it; they stay as they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto, TensorProto

from lepta.core.errors import CompressError

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that multiply by weights, the second input."""
_LEAST = 64
"""Numbers of the smallest weight that counts as one."""


def layers_of(model: ModelProto) -> list[NodeProto]:
    """Return the nodes that multiply by constant weights, in the order of the graph."""
    weights = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT
        and len(tensor.dims) >= 2
        and _count(tensor.dims) >= _LEAST
    }
    return [
        node
        for node in model.graph.node
        if node.op_type in LAYERS and not node.domain and node.input[1] in weights
    ]


def body_of(model: ModelProto, layers: Iterable[NodeProto]) -> list[NodeProto]:
    """Return the layers and what lies on a way from one of them to another."""
    outputs = {name for node in layers for name in node.output}
    names = {node.name for node in layers}
    behind = set(outputs)
    for node in model.graph.node:
        if behind.intersection(node.input):
            behind.update(node.output)
    before = {name for node in layers for name in node.input}
    for node in reversed(model.graph.node):
        if before.intersection(node.output):
            before.update(node.input)
    return [
        node
        for node in model.graph.node
        if node.name in names
        or (behind.intersection(node.input) and before.intersection(node.output))
    ]


def plain_graph(data: bytes) -> ModelProto:
    """Return a graph with constants folded, functions written out and BatchNorm in the weights.

    ONNX Runtime does it, to the level that every provider and version understands.

    Raises:
        CompressError: it refuses the graph.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(path)
        try:
            ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise CompressError(f"ONNX Runtime cannot simplify the graph: {error}") from error
        model: ModelProto = onnx.load(path)
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    named(model)
    return model


def named(model: ModelProto) -> None:
    """Give every node a name of its own, as quantisers need it."""
    seen: set[str] = set()
    for place, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{place}"
        seen.add(node.name)


def _count(dims: Iterable[int]) -> int:
    count = 1
    for size in dims:
        count *= size
    return count
