"""Small real bundles: two numbers and a category, or a grey image, to one of two classes."""

import numpy as np
import pytest

from lepta.bundle import Bundle, InputSpec, Manifest, Signature, TensorSpec
from lepta.core.schema import Kind
from lepta.models.graph import Graph
from lepta.runtime import Predictor
from lepta.runtime.predictor import write_example
from lepta.tasks import Binary

TASK = Binary(target="ill", classes=("no", "yes"))


def table_graph() -> bytes:
    """Return a graph with logit = age / 10 - weight (0 when missing) + (city == "Rome")."""
    graph = Graph()
    numbers = graph.input("numbers", "float32", (-1, 2))
    cities = graph.input("categories", "string", (-1, 1))
    absent = graph.op("IsNaN", numbers)
    filled = graph.op("Where", absent, graph.const(0.0, "float32"), numbers)
    logit = graph.op("MatMul", filled, graph.const([[0.1], [-1.0]], "float32"))
    rome = graph.op(
        "LabelEncoder",
        cities,
        domain="ai.onnx.ml",
        keys_strings=["Rome"],
        values_floats=[1.0],
        default_float=0.0,
    )
    _finish(graph, graph.op("Add", logit, rome))
    return graph.build().SerializeToString()


def image_graph() -> bytes:
    """Return a graph with logit = mean of the image / 100 - 1."""
    graph = Graph()
    image = graph.input("image_0", "uint8", (-1, -1, -1, 1))
    mean = graph.op("ReduceMean", graph.op("Cast", image, to=1), graph.const([1, 2], "int64"))
    flat = graph.op("Reshape", mean, graph.const([-1, 1], "int64"))
    scaled = graph.op("Div", flat, graph.const(100.0, "float32"))
    _finish(graph, graph.op("Sub", scaled, graph.const(1.0, "float32")))
    return graph.build().SerializeToString()


def _finish(graph: Graph, logit: str) -> None:
    yes = graph.op("Sigmoid", logit)
    no = graph.op("Sub", graph.const(1.0, "float32"), yes)
    both = graph.op("Concat", no, yes, axis=1)
    graph.output(both, "probabilities", "float32", (-1, 2))


def make_bundle(model: bytes, inputs: tuple, tensors: tuple) -> Bundle:
    signature = Signature(inputs=inputs, tensors=tensors, outputs=(TASK.output(),))
    manifest = Manifest(
        name="small", created="2026-01-01T00:00:00+00:00", task=TASK, signature=signature
    )
    return Bundle(manifest, {"model.onnx": model})


@pytest.fixture(scope="session")
def table_bundle() -> Bundle:
    inputs = (
        InputSpec(name="age", kind=Kind.NUMBER, dtype="float32", shape=(-1,)),
        InputSpec(name="weight", kind=Kind.NUMBER, dtype="float32", shape=(-1,), required=False),
        InputSpec(name="city", kind=Kind.CATEGORY, dtype="string", shape=(-1,)),
    )
    tensors = (
        TensorSpec(name="numbers", dtype="float32", shape=(-1, 2), fields=("age", "weight")),
        TensorSpec(name="categories", dtype="string", shape=(-1, 1), fields=("city",)),
    )
    bundle = make_bundle(table_graph(), inputs, tensors)
    tensors = {
        "numbers": np.array([[30.0, np.nan]], np.float32),
        "categories": np.array([["Rome"]], object),
    }
    expected = Predictor(bundle).run(tensors)
    return bundle.with_members({"examples/000.npz": write_example(tensors, expected)})


@pytest.fixture(scope="session")
def image_bundle() -> Bundle:
    inputs = (
        InputSpec(
            name="scan",
            kind=Kind.IMAGE,
            dtype="uint8",
            shape=(-1, -1, -1, 1),
            decoder="image",
            options={"channels": 1, "bits": 8},
        ),
    )
    tensors = (TensorSpec(name="image_0", dtype="uint8", shape=(-1, -1, -1, 1), fields=("scan",)),)
    return make_bundle(image_graph(), inputs, tensors)
