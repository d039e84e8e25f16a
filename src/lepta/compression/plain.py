"""Steps that only write the graph otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from lepta.compression.body import LAYERS, plain_graph
from lepta.compression.candidate import MODEL, Candidate, Material
from lepta.compression.steps import Compressor, Stage
from lepta.core.events import Context

_LEAST_BYTES = 1024
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Fold(Compressor):
    """Fold constants and BatchNorm into the weights, and leave out what has no effect."""

    name = "fold"
    stage = Stage.CLEAN
    exact = True

    def apply(self, candidate: Candidate, material: Material, context: Context) -> Candidate:
        return candidate.then(self, plain_graph(candidate.bundle.read(MODEL)))


@dataclass(frozen=True)
class Half(Compressor):
    """Keep weights in 16 bits; they are widened when the graph is loaded, so speed is the same."""

    name = "half"
    stage = Stage.STORAGE
    exact = True

    def refusal(self, candidate: Candidate, material: Material) -> str:
        return "" if halved(candidate.model) else "it has no weights in 32 bits"

    def apply(self, candidate: Candidate, material: Material, context: Context) -> Candidate:
        model = candidate.model
        chosen = halved(model)
        nodes = []
        for tensor in model.graph.initializer:
            if tensor.name in chosen:
                name = tensor.name
                narrow = numpy_helper.to_array(tensor).astype(np.float16)
                tensor.CopyFrom(numpy_helper.from_array(narrow, f"{name}_half"))
                nodes.append(_widened(tensor.name, name))
        return candidate.then(self, _before(model, nodes))


@dataclass(frozen=True)
class Weights8(Compressor):
    """Keep weights in 8 bits, a scale a channel; they are widened when the graph is loaded.

    What is computed is in float, so that speed is the same, also where int8 is slow.
    """

    name = "weights8"
    stage = Stage.STORAGE

    def refusal(self, candidate: Candidate, material: Material) -> str:
        return "" if _axes(candidate.model) else "it has no weights in 32 bits"

    def apply(self, candidate: Candidate, material: Material, context: Context) -> Candidate:
        return candidate.then(self, self.changed(candidate.model))

    def changed(self, model: ModelProto) -> ModelProto:
        """Return the graph with its weights in 8 bits; it is changed itself."""
        axes = _axes(model)
        nodes: list[NodeProto] = []
        added: list[TensorProto] = []
        for tensor in model.graph.initializer:
            if tensor.name not in axes:
                continue
            name, weights = tensor.name, numpy_helper.to_array(tensor)
            others = tuple(axis for axis in range(weights.ndim) if axis != axes[name])
            scale = np.abs(weights).max(axis=others, keepdims=True) / 127.0
            scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
            codes = np.round(weights / scale).astype(np.int8)
            tensor.CopyFrom(numpy_helper.from_array(codes, f"{name}_codes"))
            added.append(numpy_helper.from_array(scale, f"{name}_scale"))
            nodes.append(_widened(tensor.name, f"{name}_wide"))
            nodes.append(helper.make_node("Mul", [f"{name}_wide", f"{name}_scale"], [name]))
        model.graph.initializer.extend(added)
        return _before(model, nodes)


def _widened(name: str, made: str) -> NodeProto:
    return helper.make_node("Cast", [name], [made], to=TensorProto.FLOAT)


def _before(model: ModelProto, nodes: list[NodeProto]) -> ModelProto:
    """Return the graph with nodes put before all others."""
    whole = [*nodes, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(whole)
    return model


def _axes(model: ModelProto) -> dict[str, int]:
    """Return the axis of the channels of each weight that layers and look-ups use, by name."""
    fitting = halved(model)
    large = {
        tensor.name: len(tensor.dims)
        for tensor in model.graph.initializer
        if len(tensor.dims) >= 2 and tensor.name in fitting
    }
    found = {}
    for node in model.graph.node:
        if node.op_type == "Gather" and node.input[0] in large:
            found[node.input[0]] = 0
        if node.op_type not in LAYERS or node.input[1] not in large:
            continue
        turned = any(part.name == "transB" and part.i for part in node.attribute)
        last = large[node.input[1]] - 1
        dense = last if node.op_type == "MatMul" or not turned else 0
        found[node.input[1]] = {"Conv": 0, "ConvTranspose": 1}.get(node.op_type, dense)
    return found


def halved(model: ModelProto) -> frozenset[str]:
    """Return the names of the large constants of 32 bits that 16 bits hold."""
    outputs = {output.name for output in model.graph.output}
    return frozenset(
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT
        and tensor.ByteSize() >= _LEAST_BYTES
        and tensor.name not in outputs
        and np.abs(numpy_helper.to_array(tensor)).max(initial=0.0) < _LARGEST
    )
