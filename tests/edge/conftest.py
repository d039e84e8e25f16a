"""What the tests of exports share: bundles, and models compiled from C."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from lepta.bundle import Bundle
from lepta.bundle.manifest import InputSpec, Manifest, Signature, TensorSpec
from lepta.core.schema import Kind
from lepta.edge import export
from lepta.edge.c.document import is_large, members
from lepta.edge.c.text import identifier
from lepta.tasks import Regression

FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"]
_TYPES = {
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
    "string": ctypes.c_char_p,
    "uint8": ctypes.c_uint8,
    "uint16": ctypes.c_uint16,
}


class Compiled:
    """A bundle's C file, compiled without a warning and loaded."""

    def __init__(self, bundle: Bundle, folder: Path, name: str = "model") -> None:
        self.bundle = bundle
        self.source = export(bundle, folder / f"{name}.c", to="c")
        self.prefix = identifier(name)
        library = folder / f"{name}.so"
        gcc(self.source, library, "-shared", "-fPIC")
        self._call = ctypes.CDLL(str(library))[f"{self.prefix}_predict"]
        self._call.restype = None
        names = members(bundle)
        fields = []
        for tensor in bundle.signature.tensors:
            kind: Any = _TYPES[tensor.dtype]
            size = int(np.prod(tensor.shape[1:]))
            fields.append(
                (names[tensor.name], ctypes.POINTER(kind) if is_large(tensor) else kind * size)
            )
        self._struct = type("Input", (ctypes.Structure,), {"_fields_": fields})

    def self_test(self) -> str:
        """Run the self-test that stands in the file; return what it says."""
        program = self.source.with_name("self_test")
        gcc(self.source, program, f"-D{self.prefix.upper()}_SELF_TEST")
        done = subprocess.run([program], capture_output=True, text=True, check=True)
        return done.stdout

    def __call__(self, tensors: Mapping[str, np.ndarray[Any, Any]], size: int) -> Any:
        """Return ``size`` scores of each row of the graph's tensors."""
        rows = len(next(iter(tensors.values())))
        answers = np.empty((rows, size), np.float32)
        for row in range(rows):
            self._one(tensors, row, answers)
        return answers

    def _one(self, tensors: Mapping[str, Any], row: int, answers: Any) -> None:
        given, names, held = self._struct(), members(self.bundle), []
        for tensor in self.bundle.signature.tensors:
            value = tensors[tensor.name][row]
            kind: Any = _TYPES[tensor.dtype]
            if is_large(tensor):
                held.append(np.ascontiguousarray(value))
                pointer = held[-1].ctypes.data_as(ctypes.POINTER(kind))
                setattr(given, names[tensor.name], pointer)
            elif tensor.dtype == "string":
                texts = [str(text).encode() or None for text in value]
                setattr(given, names[tensor.name], (kind * len(texts))(*texts))
            else:
                content = value.ravel().tolist()
                setattr(given, names[tensor.name], (kind * len(content))(*content))
        out = answers[row].ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        self._call(ctypes.byref(given), out)


def gcc(source: Path, target: Path, *options: str) -> None:
    """Compile; every warning is an error."""
    command = ["gcc", *FLAGS, *options, str(source), "-o", str(target), "-lm"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Compiled]:
    """Return a function that exports a bundle to C, compiles it and loads it."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    return lambda bundle, name="model": Compiled(bundle, tmp_path_factory.mktemp("c"), name)


def graph_bundle(nodes: list[Any], constants: list[Any], width: int) -> Bundle:
    """Return a bundle whose graph is given: ``numbers`` (rows, width) in, ``value`` out."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("numbers", TensorProto.FLOAT, ["n", width])],
        [value("value", TensorProto.FLOAT, ["n", None])],
        constants,
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 5)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    names = tuple(f"x{i}" for i in range(width))
    fields = tuple(InputSpec(name=n, kind=Kind.NUMBER, dtype="float32", shape=(-1,)) for n in names)
    tensor = TensorSpec(name="numbers", dtype="float32", shape=(-1, width), fields=names)
    task = Regression(target="y")
    signature = Signature(inputs=fields, tensors=(tensor,), outputs=(task.output(),))
    manifest = Manifest(
        name="graph", created="2026-01-01T00:00:00Z", task=task, signature=signature
    )
    return Bundle(manifest, {"model.onnx": model.SerializeToString()})


@pytest.fixture(scope="session")
def of_graph() -> Callable[..., Bundle]:
    """Return :func:`graph_bundle`."""
    return graph_bundle
