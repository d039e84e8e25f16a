"""A graph of ONNX, made ready for a compiler: one row, fixed sizes, constants folded."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import TensorSpec
from lepta.core.errors import ExportError

Array = NDArray[Any]
Shape = tuple[int, ...]
_PROBE = 64
"""Side of the image with which the size that the model works at is found."""
_DRAWN = frozenset({"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"})


@dataclass(frozen=True, eq=False)
class Value:
    """What a node reads or writes. ``constant`` is its content, where that never changes."""

    name: str
    dtype: str
    shape: Shape
    constant: Array | None = None

    @property
    def size(self) -> int:
        """How many elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Node:
    """One operation. Names of operators outside the standard carry their domain."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value


@dataclass(frozen=True, eq=False)
class Program:
    """Nodes in order, the values that they read and write, and the one that is asked for."""

    nodes: tuple[Node, ...]
    values: dict[str, Value]
    inputs: dict[str, Shape]
    output: str

    @cached_property
    def _readers(self) -> dict[str, list[int]]:
        readers: dict[str, list[int]] = {self.output: [len(self.nodes)]}
        for step, node in enumerate(self.nodes):
            for name in node.inputs:
                readers.setdefault(name, []).append(step)
        return readers

    def last(self, name: str) -> int:
        """Return the last step at which a value is read; -1 if it never is."""
        return max(self._readers.get(name, [-1]))

    def reader(self, name: str) -> Node | None:
        """Return the one node that reads a value first of its inputs; None if there is no such."""
        steps = set(self._readers.get(name, []))
        step = steps.pop() if len(steps) == 1 else len(self.nodes)
        node = self.nodes[step] if step < len(self.nodes) else None
        return node if node is not None and node.inputs[0] == name else None


def read_program(model: bytes, tensors: Sequence[TensorSpec], output: str) -> Program:
    """Bind a graph to one row, fold what does not depend on it, and find all sizes.

    Images of any size are bound to the size that the model resizes them to.

    Args:
        model: an ONNX model.
        tensors: its inputs.
        output: the output wanted.

    Raises:
        ExportError: a size stays open.
    """
    import onnx

    graph = onnx.load_from_string(model)
    shapes = _bound(graph, tensors)
    _bind(graph, shapes)
    small = onnx.load_from_string(_optimised(graph.SerializeToString()))
    given = {t.name: _zeros(t.dtype, shapes[t.name]) for t in tensors}
    found = _trace(small, given)
    return _folded(small, found, shapes, output)


def _zeros(dtype: str, shape: Shape) -> Array:
    return np.full(shape, "", object) if dtype == "string" else np.zeros(shape, dtype)


def _bound(graph: Any, tensors: Sequence[TensorSpec]) -> dict[str, Shape]:
    """Return the shapes of the inputs of one row."""
    free = [tensor for tensor in tensors if -1 in tensor.shape[1:]]
    shapes = {tensor.name: (1, *tensor.shape[1:]) for tensor in tensors}
    if not free:
        return shapes
    probes = {name: tuple(_PROBE if s < 0 else s for s in shape) for name, shape in shapes.items()}
    for tensor in free:
        node = _resize_of(graph, tensor.name)
        if node is None or len(tensor.shape) != 4:
            raise ExportError(
                f"The input {tensor.name!r} of shape {tensor.shape} has no fixed size, and no "
                "Resize gives it one.",
                fix="Export to ort or onnx, or train with images resized to one size.",
            )
        given = {t.name: _zeros(t.dtype, probes[t.name]) for t in tensors}
        side = _trace(graph, given, [node.output[0]])[node.output[0]].shape[2:]
        shapes[tensor.name] = (1, side[0], side[1], tensor.shape[3])
    return shapes


def _resize_of(graph: Any, tensor: str) -> Any:
    """Return the first node that resizes what comes from ``tensor``."""
    reached = {tensor}
    for node in graph.graph.node:
        if reached & set(node.input[:1]):
            if node.op_type == "Resize":
                return node
            reached.update(node.output)
    return None


def _bind(graph: Any, shapes: Mapping[str, Shape]) -> None:
    for value in graph.graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, shapes[value.name], strict=True):
            dim.dim_value = size
    for value in graph.graph.output:
        value.type.tensor_type.ClearField("shape")
    del graph.graph.value_info[:]


def _session(model: bytes, save: Path | None = None) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_BASIC if save else level.ORT_DISABLE_ALL
    if save:
        options.optimized_model_filepath = str(save)
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(
            f"The graph cannot be bound to one row: {error}",
            fix="Export to onnx or ort, which leave the sizes open.",
        ) from error


def _optimised(model: bytes) -> bytes:
    """Return the graph after the simplifications of ONNX Runtime that stay within the standard."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.onnx"
        _session(model, path)
        return path.read_bytes()


def _trace(
    graph: Any, given: Mapping[str, Array], names: Sequence[str] | None = None
) -> dict[str, Array]:
    """Return all values of one run, or those called ``names``."""
    import onnx

    whole = onnx.ModelProto()
    whole.CopyFrom(graph)
    wanted = list(names or (o for node in graph.graph.node for o in node.output if o))
    known = {value.name for value in whole.graph.output}
    whole.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in wanted if name not in known
    )
    session = _session(whole.SerializeToString())
    return dict(zip(wanted, session.run(wanted, dict(given)), strict=True))


def _folded(
    graph: Any, found: Mapping[str, Array], shapes: Mapping[str, Shape], out: str
) -> Program:
    from onnx import numpy_helper

    fixed: dict[str, Array] = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer
    }
    nodes = []
    for proto in graph.graph.node:
        node = _node(proto)
        read = [name for name in node.inputs if name]
        settled = all(name in fixed for name in read) and node.op not in _DRAWN
        if node.op in ("Shape", "Size", "Constant") or (settled and not _keeps_small(node)):
            fixed.update({name: np.asarray(found[name]) for name in node.outputs if name})
        else:
            nodes.append(node)
    values = {name: _value(name, array, array) for name, array in fixed.items()}
    values |= {
        name: _value(name, np.asarray(array)) for name, array in found.items() if name not in fixed
    }
    for value in graph.graph.input:
        kind = value.type.tensor_type.elem_type
        values[value.name] = Value(value.name, _dtype(kind), shapes[value.name])
    return Program(_needed(nodes, out), values, dict(shapes), out)


def _keeps_small(node: Node) -> bool:
    """Whether a node is left as it is though it never changes: its input takes less room."""
    return node.op == "DequantizeLinear"


def _dtype(kind: int) -> str:
    from onnx import helper

    return str(np.dtype(helper.tensor_dtype_to_np_dtype(kind)))


def _value(name: str, array: Array, constant: Array | None = None) -> Value:
    kind = "object" if array.dtype.kind in "OUS" else str(array.dtype)
    return Value(name, kind, tuple(array.shape), constant)


def _node(proto: Any) -> Node:
    from onnx import TensorProto, helper, numpy_helper

    attributes = {}
    for attribute in proto.attribute:
        value = helper.get_attribute_value(attribute)
        attributes[attribute.name] = (
            numpy_helper.to_array(value) if isinstance(value, TensorProto) else value
        )
    domain = "" if proto.domain in ("", "ai.onnx") else f"{proto.domain}:"
    return Node(
        domain + proto.op_type, proto.name, tuple(proto.input), tuple(proto.output), attributes
    )


def _needed(nodes: Sequence[Node], output: str) -> tuple[Node, ...]:
    wanted = {output}
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    return tuple(reversed(kept))


def resampled(node: Node, before: int, after: int) -> Array:
    """Return the matrix (after, before) by which a ``Resize`` node changes one axis.

    It is measured: ONNX Runtime resizes each unit vector.
    """
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    shape = [before, 1, before, 1]
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [4], [before, 1, after, 1])
    kept = {k: v for k, v in node.attributes.items() if k != "axes"}
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **kept)],
        "resize",
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, None)],
        [sizes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    unit = np.eye(before, dtype=np.float32).reshape(shape)
    (answer,) = _session(model.SerializeToString()).run(None, {"x": unit})
    return np.asarray(answer[:, 0, :, 0].T)
