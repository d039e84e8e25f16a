"""Small models that are real bundles: a table of numbers and a category, an image, a number."""

import http.client
import io
import json
from urllib.parse import urlsplit

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lepta.bundle import Bundle
from lepta.bundle.manifest import InputSpec, Manifest, Signature, TensorSpec
from lepta.core.schema import Kind
from lepta.serving import start
from lepta.tasks import Binary, Multiclass, Regression


def model_bytes(nodes, inputs, outputs, constants=()):
    """Return an ONNX model as bytes."""
    graph = helper.make_graph(
        nodes, "g", inputs, outputs, [numpy_helper.from_array(v, n) for n, v in constants]
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def number(name, required=True):
    return InputSpec(name=name, kind=Kind.NUMBER, dtype="float32", shape=(-1,), required=required)


def make_bundle(name, task, inputs, tensors, graph):
    manifest = Manifest(
        name=name,
        created="2026-01-01T00:00:00Z",
        task=task,
        signature=Signature(inputs=inputs, tensors=tensors, outputs=(task.output(),)),
    )
    return Bundle(manifest, {"model.onnx": graph})


def table_bundle(fields=2, name="table"):
    """A softmax of two sums of numbers, one of them with the code of a category added."""
    task = Binary(target="sick", classes=("no", "yes"))
    names = tuple(f"x{i}" for i in range(fields))
    value = helper.make_tensor_value_info
    weights = np.stack([np.zeros(fields), np.linspace(1, -1, fields)], 1).astype(np.float32)
    nodes = [
        helper.make_node("IsNaN", ["numbers"], ["gaps"]),
        helper.make_node("Where", ["gaps", "zero", "numbers"], ["filled"]),
        helper.make_node("MatMul", ["filled", "weights"], ["linear"]),
        helper.make_node(
            "LabelEncoder",
            ["categories"],
            ["coded"],
            domain="ai.onnx.ml",
            keys_strings=["red", "grün"],
            values_floats=[1.0, 2.0],
            default_float=0.0,
        ),
        helper.make_node("Mul", ["coded", "share"], ["shared"]),
        helper.make_node("Add", ["linear", "shared"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = model_bytes(
        nodes,
        [
            value("numbers", TensorProto.FLOAT, ["n", fields]),
            value("categories", TensorProto.STRING, ["n", 1]),
        ],
        [value("probabilities", TensorProto.FLOAT, ["n", 2])],
        [
            ("zero", np.zeros((), np.float32)),
            ("weights", weights),
            ("share", np.array([[0.0, 1.0]], np.float32)),
        ],
    )
    inputs = (
        *(number(n, required=n != "x1") for n in names),
        InputSpec(
            name="colour",
            kind=Kind.CATEGORY,
            dtype="string",
            shape=(-1,),
            classes=("red", "grün"),
        ),
    )
    tensors = (
        TensorSpec(name="numbers", dtype="float32", shape=(-1, fields), fields=names),
        TensorSpec(name="categories", dtype="string", shape=(-1, 1), fields=("colour",)),
    )
    return make_bundle(name, task, inputs, tensors, graph)


def image_bundle(name="image"):
    """Three classes by the mean brightness of a grey image."""
    task = Multiclass(target="shade", classes=("dark", "grey", "light"))
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Cast", ["picture"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Sub", ["mean", "centres"], ["away"]),
        helper.make_node("Abs", ["away"], ["distance"]),
        helper.make_node("Mul", ["distance", "scale"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = model_bytes(
        nodes,
        [value("picture", TensorProto.UINT8, ["n", "h", "w", 1])],
        [value("probabilities", TensorProto.FLOAT, ["n", 3])],
        [
            ("centres", np.array([[0.0, 128.0, 255.0]], np.float32)),
            ("scale", np.array(-0.05, np.float32)),
        ],
    )
    inputs = (
        InputSpec(
            name="picture",
            kind=Kind.IMAGE,
            dtype="uint8",
            shape=(-1, -1, -1, 1),
            decoder="image",
            options={"channels": 1, "bits": 8},
        ),
    )
    tensors = (
        TensorSpec(name="picture", dtype="uint8", shape=(-1, -1, -1, 1), fields=("picture",)),
    )
    return make_bundle(name, task, inputs, tensors, graph)


def price_bundle(name="price"):
    """Regression: seconds since 1970 divided by a day."""
    task = Regression(target="price", unit="EUR")
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Cast", ["numbers"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["floats", "day"], ["value"]),
    ]
    graph = model_bytes(
        nodes,
        [value("numbers", TensorProto.DOUBLE, ["n", 1])],
        [value("value", TensorProto.FLOAT, ["n", 1])],
        [("day", np.array(86400.0, np.float32))],
    )
    inputs = (InputSpec(name="when", kind=Kind.DATETIME, dtype="float64", shape=(-1,)),)
    tensors = (TensorSpec(name="numbers", dtype="float64", shape=(-1, 1), fields=("when",)),)
    return make_bundle(name, task, inputs, tensors, graph)


def png(level, size=(8, 6)):
    """Return the bytes of a grey PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("L", size, level).save(stream, "PNG")
    return stream.getvalue()


class Caller:
    """Plain HTTP on one kept connection."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)

    def __call__(self, method, path, body=None, headers=None):
        if isinstance(body, dict | list):
            body = json.dumps(body).encode()
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        data = answer.read()
        is_json = data and answer.headers.get("content-type") == "application/json"
        return answer.status, json.loads(data) if is_json else data, answer.headers

    def close(self):
        self.connection.close()


@pytest.fixture(scope="session")
def bundles():
    return {"table": table_bundle(), "image": image_bundle(), "price": price_bundle()}


@pytest.fixture(scope="session")
def running(bundles):
    with start(bundles, max_body=2_000_000, max_rows=1000, threads=2) as service:
        yield service


@pytest.fixture
def call(running):
    caller = Caller(running.url)
    yield caller
    caller.close()
