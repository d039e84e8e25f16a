"""Networks leave for LiteRT without TensorFlow, and compute the same there."""

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from lepta.core.errors import ExportError
from lepta.edge import export
from lepta.edge.litert.exporter import converted, runner
from lepta.edge.program import read_program

Interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter


def graph(of_graph):
    """An image network with what such networks are made of: 9x8 pixels of 4 channels in."""
    rng = np.random.default_rng(0)
    nodes, constants = [], []

    def const(value, dtype=np.float32):
        constants.append(numpy_helper.from_array(np.asarray(value, dtype), f"c{len(constants)}"))
        return constants[-1].name

    def op(kind, *inputs, **attributes):
        nodes.append(helper.make_node(kind, list(inputs), [f"n{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def weights(*shape):
        return const(rng.normal(0, 0.3, shape))

    x = op("Reshape", "numbers", const([-1, 9, 8, 4], np.int64))
    x = op("Transpose", x, perm=[0, 3, 1, 2])
    x = op("Div", op("Sub", x, const(rng.normal(size=(1, 4, 1, 1)))), const(0.5))
    x = op("Clip", x, const(-4.0), const(4.0))
    first = op("Relu", op("Conv", x, weights(6, 4, 3, 3), weights(6), pads=[1, 1, 1, 1]))
    deep = op("Conv", first, weights(6, 1, 3, 3), weights(6), group=6, strides=[2, 2], pads=[1] * 4)
    deep = op("Clip", deep, const(0.0), const(6.0))
    pooled = op("MaxPool", first, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    both = op("Relu", op("Add", deep, pooled))
    gate = op("Sigmoid", op("Conv", op("GlobalAveragePool", both), weights(6, 6, 1, 1)))
    x = op("Concat", op("Mul", both, gate), op("HardSwish", both), axis=1)
    x = op("Conv", x, weights(5, 12, 2, 2), weights(5), dilations=[2, 1])
    flat = op(
        "Concat", op("Flatten", x), op("ReduceMean", x, const([2, 3], np.int64), keepdims=0), axis=1
    )
    hidden = op("Tanh", op("Gemm", flat, weights(50, 7), weights(7)))
    nodes.append(
        helper.make_node("Softmax", [op("MatMul", hidden, weights(7, 3))], ["value"], axis=1)
    )
    return of_graph(nodes, constants, 288)


def scores(bundle, model, numbers):
    """Scores of LiteRT and of ONNX Runtime."""
    program = read_program(model, bundle.signature.tensors, "value")
    run = runner(converted(program, "test"), program)
    session = onnxruntime.InferenceSession(model)
    rows = [{"numbers": row[None]} for row in numbers]
    pairs = [(run(row)[0], session.run(None, row)[0][0]) for row in rows]
    return [np.array(side) for side in zip(*pairs, strict=True)]


def test_layers_compute_the_same(of_graph):
    bundle = graph(of_graph)
    numbers = np.random.default_rng(1).normal(size=(8, 288)).astype(np.float32)
    there, here = scores(bundle, bundle.read("model.onnx"), numbers)
    np.testing.assert_allclose(there, here, atol=1e-5)
    assert here.std(axis=0).max() > 0.01


class Rows(CalibrationDataReader):
    def __init__(self, numbers):
        self.rows = iter(numbers)

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {"numbers": row[None]}


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8])
def test_whole_numbers_stay_whole(of_graph, tmp_path, activations):
    bundle = graph(of_graph)
    numbers = np.random.default_rng(1).normal(size=(32, 288)).astype(np.float32)
    source, target = tmp_path / "real.onnx", tmp_path / "whole.onnx"
    source.write_bytes(bundle.read("model.onnx"))
    quantize_static(
        source,
        target,
        Rows(numbers),
        per_channel=True,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add", "MaxPool"],
    )
    there, here = scores(bundle, target.read_bytes(), numbers)
    np.testing.assert_allclose(there, here, atol=0.03)
    program = read_program(target.read_bytes(), bundle.signature.tensors, "value")
    session = Interpreter(model_content=converted(program, ""))
    kinds = [t["dtype"] for t in session.get_tensor_details() if t["name"] == "weights"]
    assert kinds == [np.int8] * 6


def test_tables_of_numbers(of_graph, tmp_path):
    def value(name, content):
        return numpy_helper.from_array(np.asarray(content, np.float32), name)

    nodes = [
        helper.make_node("IsNaN", ["numbers"], ["nan"]),
        helper.make_node("IsInf", ["numbers"], ["inf"]),
        helper.make_node("Or", ["nan", "inf"], ["gone"]),
        helper.make_node("Where", ["gone", "mean", "numbers"], ["filled"]),
        helper.make_node("Gemm", ["filled", "w", "b"], ["value"], transB=1, alpha=0.5),
    ]
    constants = [value("mean", [1, 2, 3]), value("w", [[1, -2, 3], [0, 1, 1]]), value("b", [5, 6])]
    bundle = of_graph(nodes, constants, 3)
    numbers = np.array([[1, 2, 3], [np.nan, 0, np.inf], [-np.inf, 5, -7]], np.float32)
    there, here = scores(bundle, bundle.read("model.onnx"), numbers)
    np.testing.assert_allclose(there, here, rtol=1e-6)
    path = export(bundle, tmp_path / "m", to="litert")
    assert path.read_bytes()[4:8] == b"TFL3"


def test_what_litert_does_not_take_is_named(of_graph, tmp_path):
    node = helper.make_node("Det", ["numbers"], ["value"], name="here")
    node.op_type = "Softplus"
    with pytest.raises(ExportError, match=r"Softplus \(here\)"):
        export(of_graph([node], [], 4), tmp_path / "m", to="litert")
    assert not list(tmp_path.iterdir())
