"""Steps on the graph alone: what they change, and what they leave."""

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from lepta.compression import Candidate, Material
from lepta.compression.body import body_of, layers_of, plain_graph
from lepta.compression.finishing import tempered
from lepta.compression.int8 import Int8, quantise, worst_layers
from lepta.compression.int8 import Trial as Changes
from lepta.compression.plain import Fold, Half, Weights8
from lepta.compression.providers import onnxruntime, openvino, race
from lepta.compression.ranges import Seen, observe
from lepta.core.errors import CompressError
from lepta.core.events import Context
from lepta.evaluation import apply_temperature
from lepta.models.graph import Graph


@pytest.fixture(scope="module")
def material(network, digits):
    parts = digits.split()
    return Material(network, parts["train"], parts["valid"], "accuracy", 0.01)


@pytest.fixture(scope="module")
def batch(network, material):
    return material.tensors(material.valid, 32, Context(memo={}))[0]


def kinds(model, names):
    return [node.op_type for node in model.graph.node if node.op_type in names]


def test_preprocessing_and_the_last_step_are_not_of_the_body(network):
    model = plain_graph(network.read("model.onnx"))
    layers = layers_of(model)
    body = {node.op_type for node in body_of(model, layers)}
    assert [node.op_type for node in layers] == ["Conv"] * 9 + ["Gemm"]
    assert "Add" in body
    assert not body & {"Resize", "Softmax", "Cast", "Sub", "Div", "Transpose"}


def test_int8_is_a_quarter_and_answers_nearly_the_same(network, material, batch):
    made = Int8(rows=64).apply(Candidate(network), material, Context(memo={}))
    before, after = (
        onnxruntime(network.read("model.onnx")),
        onnxruntime(made.bundle.read("model.onnx")),
    )
    assert made.size < 0.5 * Candidate(network).size
    assert np.abs(before(batch) - after(batch)).max() < 0.1
    assert (before(batch).argmax(1) == after(batch).argmax(1)).mean() > 0.95
    assert made.facts["layers"] == 10
    assert len(kinds(made.model, {"Resize", "Softmax"})) == 2
    assert Int8().refusal(made, material) == "it is quantised already"


def test_rungs_leave_the_worst_layers_in_float(network, material):
    sizes = []
    context = Context(memo={})
    for step in (Int8(rows=64), *Int8(rows=64).ladder()):
        made = step.apply(Candidate(network), material, context)
        sizes.append(made.size)
    assert sizes[0] < sizes[1] <= sizes[2] < min(sizes[3:])
    assert len(sizes) == 5
    assert made.facts["layers in float"] == 5


def test_a_layer_that_cannot_bear_it_is_found(batch):
    """One channel is a thousand times as large as the others, which vanish in eight bits."""
    rng = np.random.default_rng(0)
    graph = Graph()
    x = graph.input("x", "float32", (-1, 16))
    weights = rng.normal(size=(3, 16, 16)).astype("f4") / 4
    scale = np.ones((1, 16), "f4")
    scale[0, 0] = 3000.0
    hidden = graph.op("Gemm", x, graph.const(weights[0]))
    stretched = graph.op(
        "Gemm", graph.op("Mul", hidden, graph.const(scale)), graph.const(weights[1] / scale.T)
    )
    graph.output(graph.op("Gemm", stretched, graph.const(weights[2])), "y", "float32", (-1, 16))
    model = plain_graph(graph.build().SerializeToString())
    batches = [{"x": rng.normal(size=(32, 16)).astype("f4")} for _ in range(2)]
    layers = layers_of(model)
    names = sorted({name for node in layers for name in (node.input[0], *node.output)})
    ranges = {k: v.range("minmax") for k, v in observe(model, names, batches).items()}
    trial = Changes(model, batches, "onnxruntime", narrow=False)
    assert worst_layers(trial, layers, ranges)[0] == layers[1].name
    whole = trial.error(layers, ranges)
    spared = trial.error([layers[0], layers[2]], ranges)
    assert spared < whole / 10


def test_ranges_by_squared_error_leave_an_outlier_out():
    values = np.append(np.random.default_rng(0).normal(size=100_000), 12.0).astype("f4")
    seen = Seen(float(values.min()), 12.0, [values])
    assert seen.range("minmax")[1] == 12.0
    assert 4.0 < seen.range("mse")[1] < 12.0
    assert 3.0 < seen.range("percentile")[1] < 5.0


def test_seven_bits_are_narrower(network, material, batch):
    model = plain_graph(network.read("model.onnx"))
    layers = layers_of(model)
    names = sorted({name for node in layers for name in (node.input[0], *node.output)})
    ranges = {k: v.range("minmax") for k, v in observe(model, names, [batch]).items()}
    for narrow, most in ((False, 127), (True, 64)):
        made = quantise(model, layers, ranges, narrow=narrow)
        weights = [
            numpy_helper.to_array(tensor).max()
            for tensor in made.graph.initializer
            if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1
        ]
        assert max(weights) == most


def test_folding_and_half_storage_keep_the_answers(network, material, batch):
    before = onnxruntime(network.read("model.onnx"))(batch)
    folded = Fold().apply(Candidate(network), material, Context())
    halved = Half().apply(folded, material, Context())
    assert halved.label == "fold > half"
    assert np.abs(onnxruntime(folded.bundle.read("model.onnx"))(batch) - before).max() < 1e-6
    assert np.abs(onnxruntime(halved.bundle.read("model.onnx"))(batch) - before).max() < 1e-3
    assert halved.size < 0.55 * folded.size
    assert Half().refusal(halved, material)


def test_batch_norm_goes_into_the_weights():
    graph = Graph()
    rng = np.random.default_rng(0)
    x = graph.input("x", "float32", (-1, 3, 8, 8))
    conv = graph.op("Conv", x, graph.const(rng.normal(size=(4, 3, 3, 3)).astype("f4")))
    ones = [graph.const(rng.uniform(0.5, 1, 4).astype("f4")) for _ in range(4)]
    graph.output(graph.op("BatchNormalization", conv, *ones), "y", "float32", (-1, 4, 6, 6))
    data = graph.build().SerializeToString()
    model = plain_graph(data)
    rows = {"x": rng.normal(size=(2, 3, 8, 8)).astype("f4")}
    assert not kinds(model, {"BatchNormalization"})
    gap = onnxruntime(data)(rows) - onnxruntime(model.SerializeToString())(rows)
    assert np.abs(gap).max() < 1e-5


def test_a_temperature_goes_into_the_graph(network, batch):
    model = Candidate(network).model
    before = onnxruntime(network.read("model.onnx"))(batch)
    after = onnxruntime(tempered(model, 1.7).SerializeToString())(batch)
    assert np.abs(after - apply_temperature(before, 1.7)).max() < 1e-5


def test_models_that_race_take_turns(batch, network):
    one = {name: values[:1] for name, values in batch.items()}
    small, large = onnxruntime(network.read("model.onnx")), onnxruntime(network.read("model.onnx"))
    quick, slow = race([small, lambda t: [large(t) for _ in range(3)]], one)
    assert 2 < slow / quick < 4.5


def test_weights_of_eight_bits_are_widened_when_loaded(network, table_network, material, batch):
    for given in (network, table_network):
        made = Weights8().apply(Candidate(given), material, Context())
        assert made.size < 0.4 * Candidate(given).size
        assert not kinds(plain_graph(made.bundle.read("model.onnx")), {"DequantizeLinear"})
        assert Weights8().refusal(made, material)
    before = onnxruntime(network.read("model.onnx"))(batch)
    made = Weights8().apply(Candidate(network), material, Context())
    assert 0 < np.abs(onnxruntime(made.bundle.read("model.onnx"))(batch) - before).max() < 0.05


@pytest.mark.parametrize("turned", [0, 1])
def test_the_scale_is_that_of_a_channel(turned):
    """Columns of very different sizes keep their precision."""
    rng = np.random.default_rng(0)
    weights = (rng.normal(size=(32, 40)) * np.geomspace(1e-3, 1e3, 40)).astype("f4")
    graph = Graph()
    x = graph.input("x", "float32", (-1, 32))
    held = graph.const(np.ascontiguousarray(weights.T) if turned else weights)
    graph.output(graph.op("Gemm", x, held, transB=turned), "y", "float32", (-1, 40))
    given = graph.build().SerializeToString()
    model = Weights8().changed(ModelProto.FromString(given))
    rows = {"x": rng.normal(size=(5, 32)).astype("f4")}
    before, after = onnxruntime(given)(rows), onnxruntime(model.SerializeToString())(rows)
    assert (np.abs(after - before).max(axis=0) < 0.05 * np.abs(before).max(axis=0)).all()


def test_openvino_is_timed_and_judged_as_it_answers(network, batch):
    pytest.importorskip("openvino")
    wanted = onnxruntime(network.read("model.onnx"))(batch)
    runner = openvino(network.read("model.onnx"))
    assert np.abs(runner(batch) - wanted).max() < 1e-4
    assert race([runner], batch)[0] > 0


def test_what_openvino_cannot_read_is_told():
    pytest.importorskip("openvino")
    graph = Graph()
    words = graph.input("words", "string", (-1, 1))
    keys = {"keys_strings": ["a"], "values_floats": [1.0], "default_float": 0.0}
    graph.output(
        graph.op("LabelEncoder", words, domain="ai.onnx.ml", **keys), "y", "float32", (-1, 1)
    )
    with pytest.raises(CompressError, match="OpenVINO cannot run the graph"):
        openvino(graph.build().SerializeToString())
