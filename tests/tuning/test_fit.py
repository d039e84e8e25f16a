"""``fit`` and ``cross_validate`` on small real data."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

import lepta
from lepta.core.errors import ConfigError, DataError, TrainError
from lepta.core.events import Context, Message, StageStarted


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context(cache=tmp_path_factory.mktemp("cache"), threads=2)


@pytest.fixture(scope="module")
def cancer() -> lepta.Dataset:
    frame = load_breast_cancer(as_frame=True).frame
    return lepta.Dataset.read(frame, target="target")


def _metrics(bundle: lepta.Bundle) -> dict[str, float]:
    return {measured.name: measured.value for measured in bundle.manifest.metrics}


def test_a_table_of_two_classes(cancer: lepta.Dataset, context: Context, tmp_path: Path) -> None:
    bundle = lepta.fit(cancer, context=context, name="cancer")
    assert _metrics(bundle)["auroc"] > 0.98
    loaded = lepta.Bundle.load(bundle.save(tmp_path / "cancer.lepta"))
    assert loaded == bundle
    assert {"card.md", "report.html", "profile.json", "leaderboard.json"} <= set(loaded.names)
    assert [name for name in loaded.names if name.startswith("examples/")] != []
    predictions = lepta.predict(loaded, cancer.inputs())
    assert len(predictions) == len(cancer)
    lineage = loaded.manifest.lineage
    assert lineage.dataset == cancer.fingerprint
    assert sum(lineage.rows.values()) == len(cancer)


def test_the_same_seed_gives_the_same_graph(cancer: lepta.Dataset, context: Context) -> None:
    first, again = (lepta.fit(cancer, context=context, learner="trees", seed=3) for _ in range(2))
    assert first.read("model.onnx") == again.read("model.onnx")
    other = lepta.fit(cancer, context=context, learner="trees", seed=4)
    assert first.read("model.onnx") != other.read("model.onnx")


def test_a_number_is_predicted(context: Context) -> None:
    frame = load_diabetes(as_frame=True).frame
    bundle = lepta.fit(lepta.Dataset.read(frame, target="target"), context=context)
    assert bundle.task.name == "regression"
    assert _metrics(bundle)["r2"] > 0.3


def test_missing_values_categories_and_dates(context: Context) -> None:
    rng = np.random.default_rng(0)
    count = 600
    city = rng.choice(["Rome", "Oslo", "Łódź", ""], count)
    size = rng.normal(size=count)
    days = np.datetime64("2024-01-01") + rng.integers(0, 700, count).astype("timedelta64[D]")
    weekend = (days.astype("datetime64[D]").view("int64") - 2) % 7 < 2
    ill = (city == "Rome") | (weekend & (size > 0))
    size[rng.random(count) < 0.2] = np.nan
    columns = {
        "city": [c or None for c in city],
        "size": size,
        "day": [str(d) for d in days],
        "ill": np.where(ill, "yes", "no").tolist(),
    }
    data = lepta.Dataset.read(columns, target="ill")
    kinds = {field.name: field.kind.value for field in data.schema}
    assert kinds == {"city": "category", "size": "number", "day": "datetime", "ill": "category"}
    for learner in ("trees", "linear", "mlp"):
        bundle = lepta.fit(data, learner=learner, context=context)
        assert _metrics(bundle)["auroc"] > 0.85, learner
        row = {"city": "Paris", "size": None, "day": None}
        assert np.isfinite(lepta.predict(bundle, row).scores).all()


@pytest.mark.parametrize("learner", ["cnn", "resnet"])
def test_images_of_many_classes(context: Context, learner: str) -> None:
    digits = load_digits()
    images = (digits.images[:500] * 15).astype(np.uint8)
    data = lepta.Dataset.read({"image": images, "digit": digits.target[:500]}, target="digit")
    settings = {"loop": {"epochs": 20}}
    bundle = lepta.fit(data, learner=learner, settings=settings, context=context)
    assert bundle.task.name == "multiclass"
    assert _metrics(bundle)["accuracy"] > 0.8
    board = json.loads(bundle.read("leaderboard.json"))
    assert [entry["learner"] for entry in board] == [learner]


def test_a_time_budget_ends_training(context: Context) -> None:
    import time

    digits = load_digits()
    images = (digits.images * 15).astype(np.uint8)
    data = lepta.Dataset.read({"image": images, "digit": digits.target}, target="digit")
    settings = {"loop": {"epochs": 500, "patience": 500}}
    began = time.monotonic()
    lepta.fit(data, learner="resnet", settings=settings, time="6s", context=context)
    assert time.monotonic() - began < 60


def test_cross_validation_scores_every_row_once(cancer: lepta.Dataset, context: Context) -> None:
    evaluation = lepta.cross_validate(cancer, k=4, learner="linear", context=context)
    assert len(evaluation) == len(cancer)
    assert evaluation["auroc"].value > 0.98


def test_progress_and_messages_are_reported(cancer: lepta.Dataset) -> None:
    events: list[object] = []
    lepta.fit(cancer, learner="trees", context=Context(report=events.append))
    assert {"trees", "packing"} <= {e.stage for e in events if isinstance(e, StageStarted)}
    assert not [e for e in events if isinstance(e, Message) and e.level == "warning"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"learner": "tree"}, ConfigError, "Did you mean 'trees'?"),
        ({"lerner": "trees"}, ConfigError, "lerner"),
        ({"learner": "trees", "settings": {"leafs": 3}}, ConfigError, "Did you mean 'leaves'?"),
        ({"learner": "cnn"}, TrainError, "there is no image field"),
        ({"time": "soon"}, ConfigError, "is not a duration"),
    ],
)
def test_wrong_options(
    cancer: lepta.Dataset, options: dict, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words.replace("?", r"\?")):
        lepta.fit(cancer, **options)


def test_a_target_of_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="class"):
        lepta.fit(lepta.Dataset.read({"x": [1.0, 2.0, 3.0], "y": ["a", "a", "a"]}, target="y"))


def test_three_rows_are_too_few() -> None:
    columns = {"x": [1.0, 2.0, 3.0], "y": ["a", "b", "a"]}
    with pytest.raises(DataError, match=r"at least \d are needed"):
        lepta.fit(lepta.Dataset.read(columns, target="y"))
