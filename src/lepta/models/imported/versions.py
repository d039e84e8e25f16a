"""A foreign ONNX model in a form that can be put inside a Lepta graph."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import ModelProto, NodeProto, helper, version_converter

from lepta.bundle.graph import audit_onnx
from lepta.core.errors import BundleError, ConfigError, ExportError, Where, suggest
from lepta.models.graph import OPSET

_RESHAPING = frozenset(
    {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
OLDEST = 18
"""Oldest version of the standard operators that the nodes in front of a model can do with."""


def read_foreign(data: bytes, file: str) -> ModelProto:
    """Return the model in ``data``, audited, its standard operators of opset 18 or later.

    Raises:
        ConfigError: it is no ONNX model, or keeps data outside; the remedy is named.
        ExportError: its operators are too old to convert.
    """
    where = Where(file=file)
    try:
        audit_onnx(data, file.rsplit("/", 1)[-1])
    except BundleError as error:
        error.where = where
        raise
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:
        raise ConfigError(f"The ONNX model cannot be read: {error}", where=where) from error
    if model.graph.sparse_initializer:
        raise ConfigError(
            "The model has sparse weights.", where=where, fix="Save it with dense weights."
        )
    return _modern(model, where)


def opset_of(model: ModelProto) -> int:
    """Return the version of the standard operators."""
    found = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return int(max(found)) if found else OPSET


def _modern(model: ModelProto, where: Where) -> ModelProto:
    version = opset_of(model)
    if version >= OLDEST:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:
        detail = str(error).strip().splitlines()
        raise ExportError(
            f"The model is of opset {version} and cannot be brought to {OPSET}: "
            f"{detail[0] if detail else type(error).__name__}",
            where=where,
            fix=f"Export it again with opset {OLDEST} or later "
            "(torch.onnx.export(opset_version=), tf2onnx --opset, skl2onnx target_opset=).",
        ) from error


def graph_inputs(model: ModelProto) -> dict[str, Any]:
    """Return the real inputs by name: old files list the weights among them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return {value.name: value for value in model.graph.input if value.name not in weights}


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of a graph's input, -1 where it is free."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims)


def dtype_of(value: Any) -> str:
    """Return the NumPy name of an input's type, "string" for text."""
    kind = value.type.tensor_type.elem_type
    if kind == onnx.TensorProto.STRING:
        return "string"
    return str(helper.tensor_dtype_to_np_dtype(kind))


def with_output(model: ModelProto, name: str) -> ModelProto:
    """Return the model with one output, and only the nodes that it needs.

    Args:
        model: the model.
        name: an output; empty takes the only one that holds float scores.

    Raises:
        ConfigError: there is no such output, or several could be meant.
    """
    known = {value.name: value for value in model.graph.output}
    if name and name not in known:
        raise ConfigError(
            f"The graph has no output {name!r}.{suggest(name, known)}",
            fix=f"Its outputs: {', '.join(known)}.",
        )
    chosen = name or _only_scores(known)
    needed = _behind_zipmap(model, chosen)
    pruned = ModelProto()
    pruned.CopyFrom(model)
    del pruned.graph.output[:]
    kept = _reached(model, needed)
    del pruned.graph.node[:]
    pruned.graph.node.extend(kept)
    pruned.graph.output.append(
        helper.make_tensor_value_info(needed, onnx.TensorProto.FLOAT, None)
        if needed != chosen
        else known[chosen]
    )
    return pruned


def _only_scores(known: dict[str, Any]) -> str:
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
    fitting = [
        name
        for name, value in known.items()
        if value.type.HasField("sequence_type") or value.type.tensor_type.elem_type in floats
    ]
    if len(fitting) != 1:
        raise ConfigError(
            f"The graph has {len(known)} outputs, and {len(fitting)} could hold the scores.",
            fix=f"Name the right one: output: NAME. They are: {', '.join(known)}.",
        )
    return fitting[0]


def _behind_zipmap(model: ModelProto, name: str) -> str:
    """Return the matrix of scores where an output is a list of mappings made from it."""
    for node in model.graph.node:
        if node.op_type == "ZipMap" and name in node.output:
            return str(node.input[0])
    return name


def last_step(model: ModelProto) -> str:
    """Return the operator that gives the first output, those that only reshape it left out."""
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers.get(model.graph.output[0].name)
    while node is not None and node.op_type in _RESHAPING:
        node = makers.get(node.input[0])
    return "" if node is None else str(node.op_type)


def _reached(model: ModelProto, output: str) -> list[NodeProto]:
    """Return the nodes on which ``output`` depends, in order."""
    needed, kept = {output}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_read_by(node))
    return kept[::-1]


def _read_by(node: NodeProto) -> set[str]:
    """Return the names that a node reads, those inside its subgraphs included."""
    names = set(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                names |= _read_by(inner)
    return names
