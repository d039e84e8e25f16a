"""What once went wrong without a word stays mended."""

import numpy as np
import pytest

import lepta
from lepta.core.errors import ConfigError, DataError
from lepta.data import folds


def _rows(count: int = 200) -> dict[str, object]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=count)
    y = np.where(x + 0.5 * rng.normal(size=count) > 0, "yes", "no")
    return {"x": x, "z": rng.normal(size=count), "y": y.tolist()}


def test_time_folds_measure_only_the_rows_that_were_tested() -> None:
    columns = _rows() | {"day": np.arange(200.0)}
    data = lepta.Dataset.read(columns, target="y", time_field="day")
    tested = np.concatenate([test for _, test in folds(data, 4)])
    assert len(tested) < len(data)
    evaluation = lepta.cross_validate(data, k=4, learner="linear")
    assert len(evaluation) == len(tested)
    assert np.isfinite(evaluation.scores).all()


def test_cross_validation_does_not_heed_a_split_column() -> None:
    columns = _rows() | {"split": (["train", "test"] * 100)}
    data = lepta.Dataset.read(columns, target="y", split="split")
    assert len(lepta.cross_validate(data, k=4, learner="linear")) == 200


def test_rows_held_out_by_the_caller_stay_held_out() -> None:
    data = lepta.Dataset.read(_rows(), target="y")
    held = np.arange(150, 200)
    given = data.with_splits({"train": np.arange(150), "test": held})
    split = given.split(valid=0.2)
    np.testing.assert_array_equal(split.splits["test"], held)
    assert not set(held) & {*split.splits["train"], *split.splits["valid"]}
    assert lepta.fit(given, learner="linear").manifest.lineage.rows["test"] == 50


def test_settings_may_be_text_and_nested_by_dots() -> None:
    data = lepta.Dataset.read(_rows(), target="y")
    lepta.fit(data, learner="trees", settings={"rounds": "20"})
    lepta.fit(data, learner="mlp", settings={"loop.epochs": "2"})
    with pytest.raises(ConfigError, match="'rounds'"):
        lepta.fit(data, learner="trees", settings={"rounds": "many"})


@pytest.mark.parametrize("learner", ["linear", "trees"])
def test_weights_count_in_training(learner: str) -> None:
    """Rows of weight 0 say the opposite; the model must not believe them."""
    columns = _rows(400)
    wrong = np.arange(400) % 2 == 0
    flipped = np.where(np.array(columns["y"]) == "yes", "no", "yes")
    columns["y"] = np.where(wrong, flipped, columns["y"]).tolist()
    columns["w"] = np.where(wrong, 0.0, 1.0)
    data = lepta.Dataset.read(columns, target="y", weight="w")
    bundle = lepta.fit(data, learner=learner)
    yes = lepta.predict(bundle, {"x": [-2.0, 2.0], "z": [0.0, 0.0]}).scores[:, 1]
    assert yes[0] < 0.2
    assert yes[1] > 0.8


@pytest.mark.parametrize("learner", ["linear", "trees"])
@pytest.mark.parametrize("mean", [300.0, 1e5])
def test_numbers_far_from_zero(learner: str, mean: float) -> None:
    columns = _rows()
    columns["y"] = mean + columns.pop("x") * 1.0
    columns["x"] = columns["y"] - mean
    data = lepta.Dataset.read(columns, target="y")
    bundle = lepta.fit(data, learner=learner, balance=True)
    r2 = next(m.value for m in bundle.manifest.metrics if m.name == "r2")
    assert r2 > 0.9


def test_numbers_that_float32_cannot_tell_apart_are_refused() -> None:
    columns = _rows()
    columns["y"] = 1e9 + np.asarray(columns["x"])
    with pytest.raises(DataError, match="seven digits"):
        lepta.fit(lepta.Dataset.read(columns, target="y"))
