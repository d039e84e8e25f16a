"""Each operator computes in C what ONNX Runtime computes."""

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from lepta.core.errors import ExportError
from lepta.edge import export


class Sheet:
    """Many operators in one graph: each result is laid behind the others."""

    def __init__(self, width):
        self.nodes, self.constants, self.parts, self.width = [], [], [], width

    def const(self, value, dtype=None):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind, *inputs, outputs=1, domain="", **attributes):
        names = [f"n{len(self.nodes)}_{i}" for i in range(outputs)]
        node = helper.make_node(kind, list(inputs), names, domain=domain, **attributes)
        self.nodes.append(node)
        return names[0] if outputs == 1 else names

    def shaped(self, *shape):
        size = int(np.prod(shape))
        ends = [self.const([v], np.int64) for v in (0, size, 1)]
        cut = self.op("Slice", "numbers", *ends)
        return self.op("Reshape", cut, self.const([1, *shape], np.int64))

    def keep(self, *names):
        for name in names:
            number = self.op("Cast", name, to=1)
            self.parts.append(self.op("Reshape", number, self.const([1, -1], np.int64)))

    def bundle(self, of_graph):
        self.nodes.append(helper.make_node("Concat", self.parts, ["value"], axis=1))
        return of_graph(self.nodes, self.constants, self.width)


def hold(sheet, of_graph, compiled, rtol=2e-6, atol=2e-6):
    bundle = sheet.bundle(of_graph)
    rng = np.random.default_rng(0)
    numbers = rng.normal(0, 2, (4, sheet.width)).astype(np.float32)
    numbers[1, ::7] = 0
    session = onnxruntime.InferenceSession(bundle.read("model.onnx"))
    expected = np.concatenate([session.run(None, {"numbers": row[None]})[0] for row in numbers])
    answers = compiled(bundle)({"numbers": numbers}, expected.shape[1])
    np.testing.assert_allclose(answers, expected, rtol=rtol, atol=atol)


def test_elementwise(of_graph, compiled):
    s = Sheet(60)
    x, other = s.shaped(3, 4, 5), s.const(np.linspace(0.3, 2, 20).reshape(4, 5), np.float32)
    for op in ("Add", "Sub", "Mul", "Div", "Less", "GreaterOrEqual", "Equal", "Max", "Min"):
        s.keep(s.op(op, x, other), s.op(op, other, x))
    for op in ("Neg", "Abs", "Exp", "Floor", "Ceil", "Round", "Sin", "Cos", "Tanh", "Erf"):
        s.keep(s.op(op, x))
    for op in ("Sigmoid", "Relu", "Sign", "Softplus", "HardSwish", "IsNaN", "IsInf", "Softsign"):
        s.keep(s.op(op, x))
    for op in ("LeakyRelu", "Elu", "HardSigmoid", "ThresholdedRelu"):
        s.keep(s.op(op, x, alpha=0.3))
    s.keep(s.op("Gelu", x), s.op("Gelu", x, approximate="tanh"), s.op("Mish", x))
    positive = s.op("Add", s.op("Abs", x), s.const(0.1, np.float32))
    s.keep(*(s.op(op, positive) for op in ("Log", "Sqrt", "Reciprocal")))
    s.keep(
        s.op("Pow", positive, s.const(1.7, np.float32)), s.op("Pow", x, s.const(2.0, np.float32))
    )
    test = s.op("And", s.op("Greater", x, other), s.op("Not", s.op("Less", x, other)))
    s.keep(
        s.op("Where", test, x, other),
        s.op("Or", test, s.op("Equal", x, x)),
        s.op("Xor", test, test),
    )
    low, high = s.const(-1.0, np.float32), s.const(0.5, np.float32)
    s.keep(s.op("Clip", x, low, high), s.op("Clip", x, "", high), s.op("Clip", x, low))
    s.keep(s.op("PRelu", x, other), s.op("Sum", x, other, x), s.op("Mean", x, other))
    whole = s.op("Cast", s.op("Mul", x, s.const(9.0, np.float32)), to=7)
    s.keep(s.op("Mod", whole, s.const(4, np.int64)), s.op("Div", whole, s.const(3, np.int64)))
    wide = s.op("Cast", x, to=11)
    s.keep(s.op("Sin", s.op("Div", wide, s.const(3.0, np.float64))))
    s.keep(s.op("Mod", x, other, fmod=1))
    hold(s, of_graph, compiled, rtol=1e-5, atol=1e-5)


def test_moving(of_graph, compiled):
    s = Sheet(60)
    x = s.shaped(3, 4, 5)

    def ints(*values):
        return s.const(list(values), np.int64)

    s.keep(s.op("Transpose", x, perm=[0, 3, 1, 2]), s.op("Transpose", x))
    s.keep(s.op("Slice", x, ints(-1, 1), ints(-9, 9), ints(3, 2), ints(-1, 2)))
    s.keep(s.op("Concat", x, s.op("Neg", x), axis=2), s.op("Concat", x, x, axis=-1))
    s.keep(*s.op("Split", x, ints(1, 3), outputs=2, axis=2))
    s.keep(s.op("Pad", x, ints(0, 1, 0, 2, 0, 0, 1, 1), s.const(-3.0, np.float32)))
    s.keep(s.op("Pad", x, ints(1, 2), "", ints(3)))
    s.keep(
        s.op("Gather", x, ints(2, -1, 0), axis=3), s.op("Gather", x, s.const(1, np.int64), axis=2)
    )
    picks = s.op("Cast", s.op("Clip", x, s.const(-2.0, np.float32), s.const(2.0, np.float32)), to=7)
    s.keep(s.op("Gather", s.const(np.arange(12).reshape(3, 4), np.float32), picks, axis=0))
    s.keep(s.op("OneHot", picks, ints(3), s.const([-1.0, 2.5], np.float32), axis=1))
    s.keep(s.op("Expand", s.op("Slice", x, ints(0), ints(1), ints(2)), ints(1, 3, 4, 5)))
    s.keep(s.op("Tile", s.op("Slice", x, ints(0), ints(1), ints(1)), ints(1, 6, 1, 1)))
    s.keep(s.op("CumSum", x, s.const(2, np.int64)), s.op("Flatten", s.op("Unsqueeze", x, ints(0))))
    hold(s, of_graph, compiled)


def test_reducing(of_graph, compiled):
    s = Sheet(60)
    x = s.shaped(3, 4, 5)
    axes = s.const([1, -1], np.int64)
    for op in ("Sum", "Mean", "Max", "Min", "SumSquare", "L1", "L2", "Prod"):
        s.keep(s.op(f"Reduce{op}", x, axes, keepdims=0), s.op(f"Reduce{op}", x))
    s.keep(s.op("Softmax", x, axis=1), s.op("Softmax", x), s.op("LogSoftmax", x, axis=2))
    s.keep(s.op("GlobalAveragePool", x), s.op("GlobalMaxPool", x))
    k = s.const([3], np.int64)
    s.keep(*s.op("TopK", x, k, outputs=2), *s.op("TopK", s.op("Round", x), k, outputs=2, largest=0))
    s.keep(s.op("ArgMax", x, axis=2), s.op("ArgMin", s.op("Round", x), axis=-1, keepdims=0))
    weights = [s.const(np.linspace(a, b, 5), np.float32) for a, b in ((0.5, 1), (-1, 1))]
    s.keep(s.op("LayerNormalization", x, *weights), s.op("LayerNormalization", x, weights[0]))
    hold(s, of_graph, compiled, rtol=1e-5, atol=1e-5)


def test_layers(of_graph, compiled):
    rng = np.random.default_rng(1)

    def weights(*shape):
        return s.const(rng.normal(0, 0.3, shape), np.float32)

    s = Sheet(4 * 9 * 8)
    x, short = s.shaped(4, 9, 8), s.shaped(4, 30)
    s.keep(s.op("Conv", x, weights(6, 4, 3, 3), weights(6), pads=[1, 1, 1, 1]))
    s.keep(s.op("Conv", x, weights(6, 2, 3, 2), group=2, strides=[2, 3], pads=[0, 1, 2, 0]))
    s.keep(s.op("Conv", x, weights(4, 1, 3, 3), group=4, strides=[2, 1], auto_pad="SAME_UPPER"))
    s.keep(s.op("Conv", x, weights(2, 4, 3, 3), dilations=[2, 3], pads=[2, 0, 1, 3]))
    s.keep(s.op("Conv", x, weights(2, 4, 1, 1), auto_pad="VALID"))
    s.keep(s.op("Conv", short, weights(2, 4, 5), strides=[2], pads=[2, 1]))
    s.keep(
        s.op(
            "Clip", s.op("Relu", s.op("Conv", x, weights(3, 4, 2, 2))), "", s.const(0.4, np.float32)
        )
    )
    norm = [s.const(rng.uniform(0.5, 2, 4), np.float32) for _ in range(4)]
    s.keep(s.op("BatchNormalization", s.op("Tanh", x), *norm))
    for op, more in (
        ("MaxPool", {}),
        ("AveragePool", {}),
        ("AveragePool", {"count_include_pad": 1}),
    ):
        s.keep(s.op(op, x, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], **more))
        s.keep(
            s.op(op, x, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1, **more)
        )
    s.keep(s.op("MaxPool", short, kernel_shape=[3], strides=[3]))
    sizes = [s.const([1, 4, *size], np.int64) for size in ((5, 8), (18, 13))]
    s.keep(s.op("Resize", x, "", "", sizes[0], mode="linear", antialias=1))
    s.keep(s.op("Resize", x, "", "", sizes[1], mode="cubic"))
    s.keep(s.op("Resize", x, "", s.const([1, 1, 2, 2], np.float32), mode="nearest"))
    row = s.op("Reshape", short, s.const([1, 120], np.int64))
    s.keep(s.op("Gemm", row, weights(120, 7), weights(7), alpha=0.5))
    s.keep(s.op("Gemm", row, weights(7, 120), weights(1, 1), transB=1))
    s.keep(s.op("MatMul", x, weights(8, 3)), s.op("MatMul", s.shaped(4, 3, 9), x))
    s.keep(
        s.op("MatMul", weights(4, 5, 9), x),
        s.op("MatMul", x, s.op("Transpose", x, perm=[0, 1, 3, 2])),
    )
    hold(s, of_graph, compiled, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("signed", [True, False])
def test_quantised(of_graph, compiled, signed):
    """Whole numbers are multiplied; what is rounded may differ by one step where it is a tie."""
    rng = np.random.default_rng(2)
    kind, zero = (np.int8, -3) if signed else (np.uint8, 120)
    s = Sheet(3 * 8 * 8)

    def scale(value):
        return s.const(value, np.float32), s.const(zero, kind)

    def there(name, value=0.05):
        pair = scale(value)
        return s.op("DequantizeLinear", s.op("QuantizeLinear", name, *pair), *pair)

    def weights(*shape):
        steps = s.const(rng.uniform(0.01, 0.03, shape[0]), np.float32)
        held = s.const(rng.integers(-127, 128, shape), np.int8)
        zeros = s.const(np.zeros(shape[0]), np.int8)
        return s.op("DequantizeLinear", held, steps, zeros, axis=0)

    x = there(s.shaped(3, 8, 8))
    first = s.op("Conv", x, weights(6, 3, 3, 3), pads=[1, 1, 1, 1])
    first = there(s.op("Relu", first), 0.1)
    pooled = s.op("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2])
    again = there(s.op("Conv", there(pooled, 0.1), weights(6, 1, 3, 3), group=6), 0.1)
    ends = [s.const(pair, np.int64) for pair in ([0, 0], [2, 2], [2, 3])]
    total = there(s.op("Add", again, s.op("Slice", pooled, *ends)), 0.2)
    flat = s.op("Reshape", total, s.const([1, -1], np.int64))
    s.keep(s.op("Gemm", flat, weights(4, 24), s.const(rng.normal(size=4), np.float32), transB=1))
    s.keep(s.op("ReduceMean", first, s.const([2, 3], np.int64)), s.op("Concat", x, first, axis=1))
    s.keep(s.op("MatMul", flat, s.op("Transpose", weights(5, 24))))
    hold(s, of_graph, compiled, rtol=1e-5, atol=1e-5)


def test_an_operator_without_a_form_in_c_is_named(of_graph, tmp_path):
    node = helper.make_node("Det", ["square"], ["value"], name="here")
    shape = numpy_helper.from_array(np.array([1, 2, 2]), "shape")
    nodes = [helper.make_node("Reshape", ["numbers", "shape"], ["square"]), node]
    with pytest.raises(ExportError, match=r"Det \(here\)") as caught:
        export(of_graph(nodes, [shape], 4), tmp_path / "m.c", to="c")
    assert "ort" in (caught.value.fix or "")


def test_buffers_lie_over_each_other(of_graph, compiled):
    nodes = [helper.make_node("Softmax", ["numbers"], ["v0"], axis=1)]
    nodes += [helper.make_node("Softmax", [f"v{i}"], [f"v{i + 1}"], axis=1) for i in range(8)]
    nodes.append(helper.make_node("Identity", ["v8"], ["value"]))
    model = compiled(of_graph(nodes, [], 100))
    assert "static: 800 bytes" in model.source.with_suffix(".h").read_text().replace(
        "(RAM, static)", "static"
    )
