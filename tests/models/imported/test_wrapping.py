"""ONNX files from elsewhere inside Lepta's graph."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from lepta.core.errors import BundleError, ConfigError, ExportError
from lepta.models.imported.schema import ImportSchema
from lepta.models.imported.wrapping import Wrapped, wrap_foreign

BINARY = {"name": "binary", "target": "lesion", "classes": ["no", "yes"]}
RGB = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def tensorflow_like(opset: int = 13, rows: Any = "batch") -> bytes:
    """NHWC in, as tf2onnx writes it: transpose, convolve, mean, dense, sigmoid in one column."""
    random = np.random.default_rng(0)
    weights = {
        "kernel": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "dense": random.normal(size=(4, 1)).astype(np.float32),
        "bias": np.zeros(1, np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["input_1"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "kernel"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("ReduceMean", ["relu"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "dense"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tf",
        [helper.make_tensor_value_info("input_1", TensorProto.FLOAT, [rows, 32, 40, 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [rows, 1])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    return bytes(model.SerializeToString())


def torch_file(path: Path, module: nn.Module, example: torch.Tensor, **options: Any) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.eval()
        rows = torch.export.Dim("rows", min=1, max=64)
        torch.onnx.export(
            module,
            (example,),
            path,
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=({0: rows},),
            **options,
        )
    return path.read_bytes()


def run(wrapped: Wrapped, tensors: dict[str, Any]) -> np.ndarray[Any, Any]:
    session = ort.InferenceSession(wrapped.model.SerializeToString())
    (scores,) = session.run(None, tensors)
    return np.asarray(scores)


def test_a_tensorflow_graph_takes_images_and_gives_two_classes() -> None:
    scan = {"name": "scan", "kind": "image", "range": [0, 255]}
    schema = ImportSchema.parse({"task": BINARY, "inputs": [scan], "gives": "probabilities"})
    data = tensorflow_like()
    wrapped = wrap_foreign(data, schema, "tf.onnx")
    assert [spec.shape for spec in wrapped.signature.inputs] == [(-1, -1, -1, 3)]
    images = np.random.default_rng(1).integers(0, 256, (5, 32, 40, 3)).astype(np.uint8)
    got = run(wrapped, {"image_0": images})
    (wanted,) = ort.InferenceSession(data).run(None, {"input_1": images.astype(np.float32)})
    np.testing.assert_allclose(got[:, 1:], wanted, atol=1e-5)
    np.testing.assert_allclose(got.sum(1), 1.0, atol=1e-6)


def test_images_are_resized_scaled_and_reordered(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))
    data = torch_file(tmp_path / "t.onnx", module, torch.zeros(2, 3, 8, 8), opset_version=18)
    photo = {"name": "photo", "kind": "image", "range": [0, 1], "order": "BGR"}
    task = {"name": "multiclass", "target": "kind", "classes": ["a", "b", "c"]}
    entries = [{**photo, "mean": RGB[0], "std": RGB[1]}]
    schema = ImportSchema.parse({"task": task, "inputs": entries, "gives": "logits"})
    wrapped = wrap_foreign(data, schema, "t.onnx")
    plain = np.full((2, 20, 30, 3), (255, 0, 51), np.uint8)
    pixels = (np.array([0.2, 0.0, 1.0]) - RGB[0]) / RGB[1]
    tensor = torch.tensor(pixels, dtype=torch.float32).view(1, 3, 1, 1).expand(2, 3, 8, 8)
    wanted = torch.softmax(module(tensor), 1).detach().numpy()
    np.testing.assert_allclose(run(wrapped, {"image_0": plain}), wanted, atol=1e-5)


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_scikit_learn_pipeline_takes_numbers_and_text(zipmap: bool) -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "age": random.normal(50, 10, 200).astype(np.float32),
            "weight": random.normal(70, 10, 200).astype(np.float32),
            "ward": random.choice(["A", "B"], 200).astype(object),
        }
    )
    y = (frame["age"] > 50) & (frame["ward"] == "A")
    forest = RandomForestClassifier(8, random_state=0)
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["ward"]), remainder="passthrough"), forest
    ).fit(frame, y)
    kinds = [(name, FloatTensorType([None, 1])) for name in ("age", "weight")]
    kinds.append(("ward", StringTensorType([None, 1])))
    model = skl2onnx.to_onnx(
        pipeline, initial_types=kinds, options={"zipmap": zipmap}, target_opset=17
    )
    inputs: list[dict[str, Any]] = [{"name": n, "kind": "number"} for n in ("age", "weight")]
    inputs.append({"name": "ward", "kind": "category", "classes": ["A", "B"]})
    schema = ImportSchema.parse({"task": BINARY, "inputs": inputs, "gives": "probabilities"})
    wrapped = wrap_foreign(model.SerializeToString(), schema, "forest.onnx")
    got = run(
        wrapped,
        {
            "numbers": frame[["age", "weight"]].to_numpy(),
            "categories": frame[["ward"]].to_numpy(object),
        },
    )
    np.testing.assert_allclose(got, pipeline.predict_proba(frame), atol=1e-5)


def matrix_model(width: int = 1, columns: int = 3, dtype: int = TensorProto.FLOAT) -> bytes:
    weights = np.arange(columns * width, dtype=np.float32).reshape(columns, width) - 1
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["f", "w"], ["y"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", dtype, [None, columns])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, width])],
        [numpy_helper.from_array(weights, "w")],
    )
    return bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6
        ).SerializeToString()
    )


def test_columns_share_a_tensor_in_the_order_of_the_schema() -> None:
    inputs = [
        {"name": ["b", "a"], "kind": "number", "mean": [1, 2], "std": [2, 4], "fill": 1.0},
        {"name": "c", "kind": "category", "classes": ["x", "y", "z"]},
    ]
    task = {"name": "regression", "target": "price"}
    schema = ImportSchema.parse({"task": task, "inputs": inputs, "gives": "value"})
    wrapped = wrap_foreign(matrix_model(), schema, "m.onnx")
    assert [spec.name for spec in wrapped.signature.inputs] == ["b", "a", "c"]
    numbers = np.array([[3.0, 6.0], [np.nan, 2.0]], np.float32)
    got = run(wrapped, {"numbers": numbers, "categories": np.array([["z"], ["?"]], object)})
    np.testing.assert_allclose(got[:, 0], [-1 * 1 + 0 * 1 + 1 * 2, 0 + 0 - 1])


SCAN = {"name": "scan", "kind": "image", "range": [0, 1]}
REGRESSION = {"name": "regression", "target": "y"}


@pytest.mark.parametrize(
    ("data", "schema", "message"),
    [
        (
            tensorflow_like(),
            {"task": BINARY, "inputs": [{"name": "s", "kind": "image"}], "gives": "logits"},
            "range of pixel values",
        ),
        (
            tensorflow_like(),
            {"task": BINARY, "inputs": [{**SCAN, "tensor": "input_2"}], "gives": "logits"},
            "Did you mean 'input_1'",
        ),
        (
            tensorflow_like(),
            {"task": BINARY, "inputs": [{**SCAN, "layout": "NCHW"}], "gives": "logits"},
            "has 32 channels",
        ),
        (
            tensorflow_like(),
            {"task": BINARY, "inputs": [{**SCAN, "size": [64, 64]}], "gives": "logits"},
            "takes 32 x 40 pixels",
        ),
        (
            tensorflow_like(),
            {"task": REGRESSION, "inputs": [SCAN], "gives": "logits"},
            "does not go with gives: logits",
        ),
        (
            tensorflow_like(),
            {
                "task": {"name": "multiclass", "target": "t", "classes": ["a", "b", "c"]},
                "inputs": [SCAN],
                "gives": "probabilities",
            },
            "has 1 number.s. a row; the task needs 3",
        ),
        (
            tensorflow_like(),
            {"task": BINARY, "inputs": [SCAN], "gives": "logits", "output": "probabilty"},
            "no output 'probabilty'. Did you mean 'probability'",
        ),
        (
            matrix_model(),
            {"task": BINARY, "inputs": [{"name": "x", "kind": "number"}], "gives": "logits"},
            "gives it 1 column",
        ),
        (
            matrix_model(2),
            {
                "task": BINARY,
                "inputs": [{"name": ["x", "y", "z"], "kind": "number"}],
                "gives": "probabilities",
            },
            "is no probabilities",
        ),
        (
            matrix_model(),
            {
                "task": REGRESSION,
                "inputs": [{"name": ["x", "y", "z"], "kind": "category"}],
                "gives": "value",
            },
            "codes of the category",
        ),
    ],
)
def test_what_does_not_fit_is_refused(data: bytes, schema: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wrap_foreign(data, ImportSchema.parse(schema), "m.onnx")


def test_a_graph_that_takes_one_row_only_is_refused_with_the_remedy() -> None:
    weights = numpy_helper.from_array(np.ones((12, 2), np.float32), "w")
    shape = numpy_helper.from_array(np.array([1, 12]), "s")
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "s"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["y"]),
        ],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [weights, shape],
    )
    opsets = [helper.make_opsetid("", 19)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    schema = ImportSchema.parse({"task": BINARY, "inputs": [SCAN], "gives": "logits"})
    with pytest.raises(ExportError, match="several rows at once") as caught:
        wrap_foreign(model.SerializeToString(), schema, "one.onnx")
    assert "dynamic_axes" in str(caught.value)


def test_weights_in_another_file_are_refused_with_the_remedy(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(tensorflow_like())
    path = tmp_path / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    schema = ImportSchema.parse({"task": BINARY, "inputs": [SCAN], "gives": "logits"})
    with pytest.raises(BundleError, match="keeps its data in another file") as caught:
        wrap_foreign(path.read_bytes(), schema, str(path))
    assert "save_as_external_data=False" in str(caught.value)
    assert str(path) in str(caught.value)


def test_probabilities_called_logits_are_noticed() -> None:
    graph = onnx.load_model_from_string(matrix_model(2))
    graph.graph.node.append(helper.make_node("Softmax", ["y"], ["p"], axis=1))
    graph.graph.output[0].name = "p"
    inputs = [{"name": ["x", "y", "z"], "kind": "number"}]
    schema = ImportSchema.parse({"task": BINARY, "inputs": inputs, "gives": "logits"})
    with pytest.raises(ConfigError, match="every row sums to one"):
        wrap_foreign(graph.SerializeToString(), schema, "p.onnx")


def one_step(op: str, dtype: int, *, columns: int = 1, **attributes: Any) -> bytes:
    """Return a graph x -> Cast -> float -> one operator -> y."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
            helper.make_node(op, ["f"], ["y"], **attributes),
        ],
        "one",
        [helper.make_tensor_value_info("x", dtype, [None, columns])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, columns])],
    )
    opsets = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def wrapped_number(data: bytes, **entry: Any) -> Wrapped:
    inputs = [{"name": "x", "kind": "number", **entry}]
    schema = {"task": REGRESSION, "inputs": inputs, "gives": "value"}
    return wrap_foreign(data, ImportSchema.parse(schema), "m.onnx")


def test_a_sigmoid_called_logits_is_noticed() -> None:
    """A single column sums to nothing; the labels of a row do not exclude each other."""
    labels = {"name": "multilabel", "target": "t", "classes": ["a", "b", "c"]}
    for task, columns in ((BINARY, 1), (labels, 3)):
        inputs = [{"name": [f"x{n}" for n in range(columns)], "kind": "number"}]
        schema = ImportSchema.parse({"task": task, "inputs": inputs, "gives": "logits"})
        data = one_step("Sigmoid", TensorProto.FLOAT, columns=columns)
        with pytest.raises(ConfigError, match="graph ends in Sigmoid"):
            wrap_foreign(data, schema, "s.onnx")


def test_whole_numbers_keep_their_digits_and_have_no_gap() -> None:
    data = one_step("Identity", TensorProto.INT64)
    with pytest.raises(ConfigError, match="no value for a missing number"):
        wrapped_number(data)
    wrapped = wrapped_number(helper_subtract(20_000_000), fill=20_000_005)
    numbers = np.array([[20_000_001.0], [20_000_003.0], [np.nan]])
    np.testing.assert_array_equal(run(wrapped, {"doubles": numbers})[:, 0], [1, 3, 5])


def helper_subtract(number: int) -> bytes:
    """Return a graph that takes ``number`` from whole numbers, and then gives floats."""
    graph = helper.make_graph(
        [
            helper.make_node("Sub", ["x", "n"], ["d"]),
            helper.make_node("Cast", ["d"], ["y"], to=TensorProto.FLOAT),
        ],
        "minus",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.array([[number]], np.int64), "n")],
    )
    opsets = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def test_pixels_are_rounded_where_the_graph_takes_whole_ones() -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["f"], ["y"], keepdims=0, axes=[1, 2, 3]),
        ],
        "max",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [None, 8, 8, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    entry = {"name": "scan", "kind": "image", "range": [0, 255], "bits": 16}
    schema = ImportSchema.parse({"task": REGRESSION, "inputs": [entry], "gives": "value"})
    wrapped = wrap_foreign(model.SerializeToString(), schema, "max.onnx")
    values = np.arange(256)
    images = np.broadcast_to((values * 257)[:, None, None, None], (256, 8, 8, 1))
    got = run(wrapped, {"image_0": images.astype(np.uint16)})[:, 0]
    np.testing.assert_array_equal(got, values)


def text_model(*, codes: bool) -> bytes:
    """Return a graph that knows "True" as 1, or takes codes."""
    know = {"keys_strings": ["True", "False"], "values_floats": [1.0, 0.0], "default_float": 9.0}
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", **know)
    if codes:
        node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    kind = TensorProto.INT64 if codes else TensorProto.STRING
    graph = helper.make_graph(
        [node],
        "text",
        [helper.make_tensor_value_info("x", kind, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


@pytest.mark.parametrize(("codes", "wanted"), [(False, [1, 0, 9]), (True, [0, 1, 5])])
def test_categories_are_spelled_as_the_graph_spells_them(codes: bool, wanted: list[int]) -> None:
    """The runtime reads True, "True" and "true" as "true"."""
    wrapped = wrapped_number(
        text_model(codes=codes), kind="category", classes=["True", "False"], unknown=5
    )
    read = np.array([["true"], ["false"], ["perhaps"]], object)
    np.testing.assert_array_equal(run(wrapped, {"categories": read})[:, 0], wanted)


def test_classes_that_are_one_are_refused() -> None:
    entry = {"name": "x", "kind": "category", "classes": ["1", "1.0"]}
    with pytest.raises(ConfigError, match="two classes are one"):
        ImportSchema.parse({"task": REGRESSION, "gives": "value", "inputs": [entry]})
