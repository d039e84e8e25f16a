"""Steps that only write the graph otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from lepta.compression.body import plain_graph
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
        casts = []
        for tensor in model.graph.initializer:
            if tensor.name not in chosen:
                continue
            name = tensor.name
            narrow = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(narrow, f"{name}_half"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
        nodes = [*casts, *model.graph.node]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        return candidate.then(self, model)


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
