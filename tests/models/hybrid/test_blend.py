import json
import pickle

import numpy as np
import onnxruntime as ort
import pytest

from lepta.bundle.manifest import Signature
from lepta.core.errors import ExportError
from lepta.core.events import Context
from lepta.data import Dataset
from lepta.models.front.front import plain_columns
from lepta.models.front.shared import share_rows, shared_part
from lepta.models.hybrid.blend import Blend
from lepta.models.hybrid.joint import JointFront
from lepta.models.learner import LEARNERS, to_onnx
from lepta.runtime.pack import pack


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def rows(request):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=200), rng.choice(["x", "y", "z"], 200)
    value = a + (b == "x") + rng.normal(0, 0.3, 200)
    targets = {
        "binary": np.where(value > 0, "yes", "no"),
        "multiclass": np.digitize(value, [-0.5, 0.8]).astype(str),
        "regression": 50 + 10 * value,
    }
    return Dataset.read({"a": a, "b": b, "y": targets[request.param]}, target="y")


def _fitted(rows, names):
    parts = [np.arange(0, 120), np.arange(120, 160), np.arange(40, 160), np.arange(0, 40)]
    context = share_rows(Context(threads=1), rows, parts)
    return [
        LEARNERS.get(name)().fit(
            shared_part(context, 2 * fold), shared_part(context, 2 * fold + 1), rows.task, context
        )
        for name in names
        for fold in range(2)
    ], context


def _graph_scores(model, rows):
    session = ort.InferenceSession(to_onnx(model).SerializeToString())
    signature = Signature(inputs=model.front.inputs, tensors=model.front.tensors, outputs=())
    (scores,) = session.run(None, pack(signature, plain_columns(rows, model.front.inputs)))
    return scores


def test_the_graph_of_a_sum_gives_the_sum(rows):
    models, context = _fitted(rows, ["linear", "trees", "mlp"])
    weights = [0.1, 0.2, 0.3, 0.15, 0.05, 0.2]
    blend = Blend.of(models, weights)
    assert len(blend.front.fronts) == 2
    raw = blend.raw_of(rows, context)
    wanted = sum(w * m.raw_of(rows, context) for w, m in zip(weights, models, strict=True))
    np.testing.assert_allclose(raw, wanted, rtol=1e-5, atol=1e-5)
    scale = np.abs(raw).max()
    np.testing.assert_allclose(
        _graph_scores(blend, rows), blend.scores(rows, context), atol=2e-6 * max(scale, 1)
    )


def test_a_sum_can_be_pickled_after_use(rows):
    models, context = _fitted(rows, ["linear", "trees"])
    blend = Blend.of(models, [0.25] * 4)
    wanted = blend.raw_of(rows, context)
    again = pickle.loads(pickle.dumps(blend))
    np.testing.assert_array_equal(again.raw_of(rows, Context()), wanted)


def test_the_workshop_names_the_parts_and_holds_no_number_twice(rows):
    models, _ = _fitted(rows, ["linear", "trees"])
    (name, document), *more = Blend.of(models, [0.25] * 4).workshop().items()
    assert name == "workshop/recipe.json"
    assert not more
    assert sum(part["weight"] for part in json.loads(document)["parts"]) > 0


def test_fields_that_are_read_in_two_ways_are_refused():
    rng = np.random.default_rng(0)
    y = rng.normal(size=20)
    number = Dataset.read({"a": rng.normal(size=20), "y": y}, target="y")
    word = Dataset.read({"a": rng.choice(["x", "y"], 20), "y": y}, target="y")
    fronts = [
        LEARNERS.get("linear")().fit(data, data, data.task, Context()).front
        for data in (number, word)
    ]
    with pytest.raises(ExportError, match="'a'"):
        JointFront.of(fronts)
