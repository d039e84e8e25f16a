"""A small student gives nearly the answers of a large teacher, and takes the same inputs."""

import numpy as np
import pytest

import lepta
from lepta.compression.candidate import Candidate, Material
from lepta.compression.distilling import Distil
from lepta.core.events import Context
from lepta.data import Dataset
from lepta.runtime import Predictor

LEVELS = {"binary": [0.0], "multiclass": [-0.7, 0.7]}


def _rows(task: str, count: int = 1500, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=count), rng.choice(["x", "y", "z"], count)
    value = np.sin(2 * a) + (b == "x") + rng.normal(0, 0.3, count)
    y = np.digitize(value, LEVELS[task]).astype(str) if task in LEVELS else 500 + 10 * value
    a[::11] = np.nan
    return Dataset.read({"a": a, "b": b, "noise": rng.normal(size=count), "y": y}, target="y")


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def material(request: pytest.FixtureRequest) -> Material:
    data = _rows(request.param).split(valid=0.2, test=0.05)
    bundle = lepta.fit(data, learner="trees", settings={"rounds": 400}, audit=False)
    return Material(bundle, data["train"], data["valid"], bundle.task.metrics[0], 0.01)


@pytest.mark.parametrize("step", [Distil(size=2), Distil(learner="trees", size=1)], ids=str)
def test_a_student_answers_as_its_teacher(material: Material, step: Distil) -> None:
    candidate = Candidate(material.parent)
    assert not step.refusal(candidate, material)
    taught = step.apply(candidate, material, Context(threads=1))
    assert taught.size < candidate.size
    assert taught.bundle.signature == material.parent.signature
    assert taught.steps == (step,)
    unseen = _rows(material.parent.task.name, 400, seed=1).inputs()
    ours, theirs = (
        Predictor(bundle, self_test=False).scores(unseen)
        for bundle in (taught.bundle, material.parent)
    )
    assert np.corrcoef(ours[:, -1], theirs[:, -1])[0, 1] > 0.93
    if material.parent.task.is_classification:
        np.testing.assert_allclose(ours.sum(axis=1), 1.0, atol=1e-5)


def test_a_student_is_the_same_each_time(material: Material) -> None:
    step, candidate = Distil(learner="trees", size=0), Candidate(material.parent)
    first, second = (step.apply(candidate, material, Context(threads=1)) for _ in range(2))
    assert first.bundle.read("model.onnx") == second.bundle.read("model.onnx")


def test_sizes_go_up_and_down() -> None:
    step = Distil(size=3)
    assert [one.size for one in step.ladder()] == [4]
    assert [one.size for one in step.bolder()] == [2, 1, 0]


def test_texts_are_refused() -> None:
    texts = ["good work", "bad luck"] * 30
    given = {"text": texts, "y": ["a", "b"] * 30}
    data = Dataset.read(given, target="y", kinds={"text": "text"}).split()
    bundle = lepta.fit(data, learner="bag", audit=False)
    material = Material(bundle, data["train"], data["valid"], "auroc", 0.01)
    assert "text" in Distil().refusal(Candidate(bundle), material)
