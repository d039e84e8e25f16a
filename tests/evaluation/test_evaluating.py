"""A bundle, evaluated on a dataset."""

import numpy as np
import pytest

from lepta.bundle import Bundle
from lepta.bundle.manifest import InputSpec, Manifest, Signature, TensorSpec
from lepta.core.errors import DataError
from lepta.core.schema import Kind
from lepta.data import Dataset
from lepta.evaluation import evaluate
from lepta.runtime import Predictor
from lepta.tasks import Binary

onnx = pytest.importorskip("onnx")
TASK = Binary(target="ill", classes=("no", "yes"))


@pytest.fixture(scope="module")
def bundle():
    """A logistic model of two numbers, as one graph."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = helper.make_tensor("w", kind, (2, 2), [-1.5, 1.5, -0.5, 0.5])
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["numbers", "w"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "logistic",
        [helper.make_tensor_value_info("numbers", kind, (None, 2))],
        [helper.make_tensor_value_info("probabilities", kind, (None, 2))],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    number = {"kind": Kind.NUMBER, "dtype": "float32", "shape": (-1,)}
    signature = Signature(
        inputs=(InputSpec(name="a", **number), InputSpec(name="b", **number)),
        tensors=(TensorSpec(name="numbers", dtype="float32", shape=(-1, 2), fields=("a", "b")),),
        outputs=(TASK.output(),),
    )
    manifest = Manifest(
        name="ill", created="2026-01-02T03:04:05+00:00", task=TASK, signature=signature
    )
    return Bundle(manifest, {"model.onnx": model.SerializeToString()})


def table(rows=300):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=rows), rng.normal(size=rows)
    ill = (3 * a + b + rng.logistic(size=rows)) > 0
    return {
        "a": a,
        "b": b,
        "person": [f"p{k // 3}" for k in range(rows)],
        "ill": np.where(ill, "yes", "no").tolist(),
    }


def test_a_bundle_is_measured_like_its_scores(bundle, tmp_path):
    data = Dataset.read(table(), target="ill", positive="yes")
    evaluation = evaluate(bundle, data, seed=4)
    assert evaluation.name == "ill"
    assert evaluation["auroc"].value > 0.9
    assert evaluation["auroc"].method == "DeLong"
    assert len(evaluation.rows) == len(evaluation) == 300
    predictor = Predictor(bundle)
    np.testing.assert_array_equal(evaluation.scores, predictor.scores(data.inputs()))
    assert evaluate(predictor, data, seed=4).metrics == evaluation.metrics
    path = bundle.save(tmp_path / "ill.lepta")
    assert evaluate(path, data, seed=4).metrics == evaluation.metrics
    assert "Where it comes from" in evaluation.html()


def test_groups_and_given_splits_are_honoured(bundle):
    columns = table() | {"split": ["train", "train", "test"] * 100}
    data = Dataset.read(columns, target="ill", group="person", split="split")
    everything = evaluate(bundle, data)
    assert everything["auroc"].method == "Obuchowski"
    assert "100 groups" in str(everything)
    assert any("train on" in note for note in everything.notes)
    test = evaluate(bundle, data["test"])
    assert len(test) == 100
    assert not test.notes


def test_a_path_is_read_with_the_target_of_the_model(bundle, tmp_path):
    columns = table(60)
    path = tmp_path / "people.csv"
    names = list(columns)
    lines = [",".join(names)]
    lines += [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(lines))
    assert len(evaluate(bundle, path)) == 60


def test_a_class_that_the_model_does_not_know_is_named(bundle):
    columns = table(60)
    columns["ill"][7] = "yess"
    with pytest.raises(DataError, match="Did you mean 'yes'") as caught:
        evaluate(bundle, Dataset.read(columns, target="ill"))
    assert caught.value.where.row == 8


def test_an_input_that_this_schema_ignores_is_used_all_the_same(bundle):
    data = Dataset.read(table(), target="ill")
    ignored = Dataset.read(table(), target="ill", roles={"a": "ignore"})
    np.testing.assert_array_equal(evaluate(bundle, data).scores, evaluate(bundle, ignored).scores)


def test_few_rows_of_a_class_are_noted(bundle):
    columns = table(60)
    columns["ill"] = ["yes"] * 57 + ["no"] * 3
    notes = evaluate(bundle, Dataset.read(columns, target="ill")).notes
    assert any("Only 3 row(s) are 'no'" in note for note in notes)
