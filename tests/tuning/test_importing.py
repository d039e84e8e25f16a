"""An ONNX file from elsewhere becomes a bundle that predicts, is measured and served."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import lepta
from lepta.app.cli import main
from lepta.core.errors import ConfigError, InputError
from lepta.runtime import Predictor

SCHEMA = """
task: {name: binary, target: bought, classes: ["no", "yes"]}
gives: logits
inputs:
  - name: [age, income]
    kind: number
    mean: [40, 2000]
    std: [10, 500]
"""


def linear_model() -> bytes:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.array([[2.0], [1.0]], np.float32), "w")],
    )
    opsets = [helper.make_opsetid("", 9)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=4).SerializeToString())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "m.onnx").write_bytes(linear_model())
    (tmp_path / "m.yaml").write_text(SCHEMA)
    random = np.random.default_rng(0)
    age, income = random.normal(40, 10, 120), random.normal(2000, 500, 120)
    logit = 2 * (age - 40) / 10 + (income - 2000) / 500
    bought = np.where(random.uniform(size=120) < 1 / (1 + np.exp(-logit)), "yes", "no")
    rows = [f"{a},{i},{b}" for a, i, b in zip(age, income, bought, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["age,income,bought", *rows]))
    return tmp_path


def test_the_command_writes_a_measured_bundle(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(files / "m.onnx"), "--schema", str(files / "m.yaml"), "-q"]
    out = files / "bought.lepta"
    assert main(["import", *words, "--data", str(files / "rows.csv"), "-o", str(out)]) == 0
    assert "AUROC" in capsys.readouterr().out
    bundle = lepta.Bundle.load(out)
    assert bundle.manifest.name == "bought"
    assert {"card.md", "report.html", "examples/000.npz", "model.onnx"} <= set(bundle.names)
    assert next(m.value for m in bundle.manifest.metrics if m.name == "auroc") > 0.8
    predictions = lepta.predict(out, {"age": 50.0, "income": 2500.0})
    assert predictions.scores[0, 1] == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-6)


def test_without_data_the_bundle_tests_itself_and_says_that_nothing_was_measured(
    files: Path,
) -> None:
    bundle = lepta.import_onnx(files / "m.onnx", files / "m.yaml")
    assert bundle.manifest.metrics == ()
    assert "None have been measured" in bundle.read("card.md").decode()
    Predictor(bundle).self_test()
    assert bundle.manifest.lineage.config["file"] == "m.onnx"


def test_a_missing_number_without_a_meaning_is_no_answer(files: Path) -> None:
    """A score that is not a number is not above the threshold: it would read as "no"."""
    bundle = lepta.import_onnx(files / "m.onnx", files / "m.yaml")
    rows = {"age": [50.0, None], "income": [2500.0, 2500.0]}
    with pytest.raises(InputError, match="no number for 1 of 2 row"):
        lepta.predict(bundle, rows)
    (files / "m.yaml").write_text(f"{SCHEMA}    fill: 40\n")
    bundle = lepta.import_onnx(files / "m.onnx", files / "m.yaml")
    assert np.isfinite(lepta.predict(bundle, rows).scores).all()


def test_a_draft_tells_what_the_graph_takes(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", str(files / "m.onnx"), "--draft"]) == 0
    draft = capsys.readouterr().out
    (files / "draft.yaml").write_text(draft)
    bundle = lepta.import_onnx(files / "m.onnx", files / "draft.yaml")
    assert [spec.name for spec in bundle.signature.inputs] == ["x_0", "x_1"]


def test_the_schema_names_the_model_first(files: Path) -> None:
    (files / "m.yaml").write_text(f"name: buyers\n{SCHEMA}")
    words = [str(files / "m.onnx"), "--schema", str(files / "m.yaml"), "-q"]
    assert main(["import", *words, "-o", str(files / "other.lepta")]) == 0
    assert lepta.Bundle.load(files / "other.lepta").manifest.name == "buyers"


def test_without_a_schema_the_command_names_the_draft(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", str(files / "m.onnx")]) != 0
    assert "--draft" in capsys.readouterr().err


def test_a_wrong_schema_names_file_and_option(files: Path) -> None:
    (files / "m.yaml").write_text(SCHEMA.replace("kind: number", "knid: number"))
    with pytest.raises(ConfigError, match=r"inputs.0.knid") as caught:
        lepta.import_onnx(files / "m.onnx", files / "m.yaml")
    assert "m.yaml" in str(caught.value)


def test_images_from_files_are_prepared_as_the_schema_says(tmp_path: Path) -> None:
    from PIL import Image

    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=0)],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8, 8, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    schema: dict[str, Any] = {
        "task": {"name": "regression", "target": "brightness"},
        "gives": "value",
        "inputs": [{"name": "photo", "kind": "image", "range": [-1, 1]}],
    }
    bundle = lepta.import_onnx(model.SerializeToString(), schema, name="brightness")
    paths = []
    for value in (0, 255, 51):
        paths.append(tmp_path / f"{value}.png")
        Image.fromarray(np.full((20, 12), value, np.uint8)).save(paths[-1])
    scores = lepta.predict(bundle, {"photo": list(map(str, paths))}).scores
    np.testing.assert_allclose(scores[:, 0], [-1.0, 1.0, -0.6], atol=1e-6)
