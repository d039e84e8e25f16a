"""Other runtimes compute what the bundle computes, or the export says that they do not."""

import numpy as np
import onnx
import onnxruntime
import pytest

import lepta
from lepta.bundle import Bundle
from lepta.bundle.manifest import InputSpec, Manifest, Signature, TensorSpec
from lepta.core.errors import ConfigError, ExportError
from lepta.core.schema import Kind
from lepta.edge import EXPORTERS, export
from lepta.edge.devices import DEVICES, device
from lepta.models.graph import Graph
from lepta.runtime import Predictor
from lepta.runtime.predictor import examples_of, write_example
from lepta.tasks import Multiclass


def images(size=24, seed=0):
    """A small network of grey images of any size, with examples of one size."""
    rng = np.random.default_rng(seed)
    graph = Graph()
    shape = (-1, -1, -1, 1)
    pixels = graph.op("Cast", graph.input("image_0", "uint8", shape), to=1)
    values = graph.op("Transpose", pixels, perm=[0, 3, 1, 2])
    side = graph.op("Concat", graph.op("Shape", values, end=2), graph.const([12, 12]), axis=0)
    how = {"mode": "linear", "antialias": 1, "coordinate_transformation_mode": "half_pixel"}
    small = graph.op("Resize", values, "", "", side, **how)
    filters = graph.const(rng.normal(0, 0.004, (4, 1, 3, 3)), "float32")
    found = graph.op("Relu", graph.op("Conv", small, filters, pads=[1, 1, 1, 1]))
    weights = graph.const(rng.normal(0, 0.1, (576, 3)), "float32")
    raw = graph.op("MatMul", graph.op("Flatten", found), weights)
    task = Multiclass(target="y", classes=("a", "b", "c"))
    output = task.output()
    graph.output(task.emit(graph, raw), output.name, output.dtype, output.shape)
    model = graph.build().SerializeToString()
    session = onnxruntime.InferenceSession(model)
    members = {"model.onnx": model, "workshop/notes.json": b"{}"}
    for number in range(3):
        steep = rng.integers(0, 2, (1, size, size, 1)) * 255  # what no antialiasing makes worst
        tensors = {"image_0": steep.astype(np.uint8)}
        members[f"examples/{number:03}.npz"] = write_example(tensors, session.run(None, tensors)[0])
    spec = InputSpec(name="image", kind=Kind.IMAGE, dtype="uint8", shape=shape, decoder="image")
    tensor = TensorSpec(name="image_0", dtype="uint8", shape=shape, fields=("image",))
    signature = Signature(inputs=(spec,), tensors=(tensor,), outputs=(output,))
    manifest = Manifest(
        name="small", created="2026-01-01T00:00:00Z", task=task, signature=signature
    )
    return Bundle(manifest, members)


@pytest.fixture(scope="module")
def trees():
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=200), "b": rng.choice(["x", "y"], 200)}
    columns["y"] = columns["a"] + (columns["b"] == "x")
    data = lepta.Dataset.read(columns, target="y")
    return lepta.fit(data, learner="trees", settings={"rounds": 5}, audit=False, refit=False)


def test_ort_computes_the_same_without_another_optimisation(trees, tmp_path):
    path = export(trees, tmp_path / "small", to="ort")
    assert path == tmp_path / "small.ort"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options)
    for _, tensors, expected in examples_of(trees):
        (scores,) = session.run([trees.task.output().name], tensors)
        np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.parametrize("size", [12, 24, 31])
def test_openvino_computes_the_same_on_images_of_any_size(tmp_path, size):
    openvino = pytest.importorskip("openvino")
    bundle = images(size)
    path = export(bundle, tmp_path / "m", to="openvino")
    assert {p.name for p in tmp_path.iterdir()} == {"m.xml", "m.bin"}
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rows = np.random.default_rng(5).integers(0, 256, (6, size, size, 1)).astype(np.uint8)
    expected = Predictor(bundle).predict(rows).scores
    np.testing.assert_allclose(model({"image_0": rows})[0], expected, atol=1e-4)


def test_openvino_says_what_it_does_not_take(trees, of_graph, tmp_path):
    pytest.importorskip("openvino")
    with pytest.raises(ExportError, match="'b' is text") as caught:
        export(trees, tmp_path / "m", to="openvino")
    assert "to c" in (caught.value.fix or "")
    node = onnx.helper.make_node("Unknown", ["numbers"], ["value"], domain="com.microsoft")
    with pytest.raises(ExportError, match=r"OpenVINO does not take the graph: .*Unknown"):
        export(of_graph([node], [], 2), tmp_path / "m", to="openvino")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["ort", "openvino"])
def test_a_runtime_that_computes_something_else_is_refused(tmp_path, to):
    pytest.importorskip("openvino")
    bundle = images()
    (_, tensors, expected), *_ = examples_of(bundle)
    wrong = bundle.with_members({"examples/000.npz": write_example(tensors, expected[:, ::-1])})
    with pytest.raises(ExportError, match=r"examples/000.npz differs by 0\."):
        export(wrong, tmp_path / "m", to=to)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["coreml", "executorch"])
def test_what_cannot_be_written_names_what_serves_instead(to, trees, tmp_path):
    with pytest.raises(ExportError) as caught:
        export(trees, tmp_path / "m", to=to)
    assert "Export to ort" in (caught.value.fix or "")


def test_a_device_chooses_the_form(tmp_path):
    bundle = images()
    suffixes = {"raspberry-pi": ".lepta", "phone": ".ort", "jetson": ".onnx", "cortex-m": ".c"}
    for name, suffix in suffixes.items():
        assert export(bundle, tmp_path / name, device=name).suffix == suffix
    assert Bundle.load(tmp_path / "raspberry-pi.lepta") == bundle.strip()
    assert export(bundle, tmp_path / "own", "onnx", device="phone").suffix == ".onnx"
    assert {DEVICES[name].to for name in DEVICES} <= set(EXPORTERS.names())
    with pytest.raises(ConfigError, match="Did you mean 'phone'"):
        device("fone")
