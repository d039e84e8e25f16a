"""Building one ONNX graph out of parts: own nodes, and whole models put inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

OPSET = 20
ML_OPSET = 5
IR_VERSION = 10
LAST_CLASSIC_TREES = 4
"""The last version of ``ai.onnx.ml`` with the two tree operators that other converters write."""
_RETIRED = {("ai.onnx.ml", "TreeEnsembleClassifier"), ("ai.onnx.ml", "TreeEnsembleRegressor")}
_LARGE = 4096
"""Bytes of a constant from which it is worth while to look for its like."""
_STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml"})


class Graph:
    """An ONNX graph in the making. Names of values are plain strings.

    Args:
        opset: version of the standard operators; another than ours for a foreign model's sake.
    """

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset
        self._domains = {"ai.onnx.ml": ML_OPSET}
        self._nodes: list[NodeProto] = []
        self._initializers: list[TensorProto] = []
        self._functions: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._count = 0

    def input(self, name: str, dtype: str, shape: Sequence[int]) -> str:
        """Declare an input; -1 is a free size (the first one is the number of rows)."""
        self._inputs.append(helper.make_tensor_value_info(name, _type(dtype), _dims(name, shape)))
        return name

    def output(self, value: str, name: str, dtype: str, shape: Sequence[int]) -> None:
        """Declare ``value`` as the output called ``name``."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, _type(dtype), _dims(name, shape)))

    def const(self, value: NDArray[Any] | Sequence[Any] | float | int, dtype: str = "") -> str:
        """Add a constant and return its name."""
        array = np.asarray(value, dtype or None)
        name = self._name("const")
        self._initializers.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        (name,) = self.ops(kind, 1, *inputs, domain=domain, **attributes)
        return name

    def ops(
        self, kind: str, outputs: int, *inputs: str, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with several outputs and return their names."""
        names = [self._name(kind.lower()) for _ in range(outputs)]
        node = helper.make_node(kind, list(inputs), names, domain=domain, **attributes)
        self._nodes.append(node)
        return names

    def embed(self, model: ModelProto, inputs: Mapping[str, str]) -> list[str]:
        """Put ``model`` inside: its inputs are fed from ``inputs``; return its outputs' names.

        The model's standard operators are of the graph's opset, or mean the same in it.
        """
        for entry in model.opset_import:
            if entry.domain not in _STANDARD:
                self._domains[entry.domain] = entry.version
        if any((node.domain, node.op_type) in _RETIRED for node in model.graph.node):
            self._domains["ai.onnx.ml"] = LAST_CLASSIC_TREES
        prefix = f"{self._name('part')}/"
        inner = onnx.compose.add_prefix(model, prefix, rename_functions=True)
        fed = {prefix + name: value for name, value in inputs.items()}
        for name, value in fed.items():
            self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._nodes.extend(inner.graph.node)
        self._initializers.extend(inner.graph.initializer)
        self._functions.extend(inner.functions)
        return [value.name for value in inner.graph.output]

    def build(self) -> ModelProto:
        """Return the finished model, checked; large constants that are alike are kept once."""
        self._share_constants()
        graph = helper.make_graph(
            self._nodes, "lepta", self._inputs, self._outputs, self._initializers
        )
        domains = {"": self.opset, **self._domains}
        imports = [helper.make_opsetid(name, version) for name, version in domains.items()]
        model = helper.make_model(
            graph,
            functions=self._functions,
            producer_name="lepta",
            opset_imports=imports,
            ir_version=max(
                IR_VERSION, helper.find_min_ir_version_for(imports, ignore_unknown=True)
            ),
        )
        onnx.checker.check_model(model)
        return model

    def _share_constants(self) -> None:
        """Keep one of large constants that are alike: a backbone may stand in a graph twice."""
        if any(attribute.HasField("g") for node in self._nodes for attribute in node.attribute):
            return  # branches and loops may read constants from outside
        first: dict[bytes, str] = {}
        renamed: dict[str, str] = {}
        kept = []
        for tensor in self._initializers:
            if tensor.data_type != TensorProto.STRING and tensor.ByteSize() >= _LARGE:
                values = numpy_helper.to_array(tensor)
                content = f"{values.dtype} {values.shape}".encode() + values.tobytes()
                same = first.setdefault(sha256(content).digest(), tensor.name)
                if same != tensor.name:
                    renamed[tensor.name] = same
                    continue
            kept.append(tensor)
        for node in self._nodes if renamed else ():
            for place, name in enumerate(node.input):
                node.input[place] = renamed.get(name, name)
        self._initializers = kept

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"


def _type(dtype: str) -> int:
    if dtype == "string":
        return int(TensorProto.STRING)
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _dims(name: str, shape: Sequence[int]) -> list[int | str]:
    return [
        size if size >= 0 else ("rows" if axis == 0 else f"{name}_{axis}")
        for axis, size in enumerate(shape)
    ]
