"""What once went wrong without a word stays mended."""

from pathlib import Path

import numpy as np
import pandas as pd
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


def test_weights_count_in_cross_validation() -> None:
    """Rows of weight 0 say the opposite; they neither train nor count."""
    columns = _rows()
    wrong = np.arange(200) % 4 == 0
    columns["y"] = np.where((np.asarray(columns["x"]) > 0) ^ wrong, "yes", "no").tolist()
    columns["w"] = np.where(wrong, 0.0, 1.0)
    data = lepta.Dataset.read(columns, target="y", weight="w")
    assert lepta.cross_validate(data, k=4, learner="linear")["accuracy"].value > 0.95


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
    bundle = lepta.fit(data, learner=learner)
    r2 = next(m.value for m in bundle.manifest.metrics if m.name == "r2")
    assert r2 > 0.9


def test_numbers_that_float32_cannot_tell_apart_are_refused() -> None:
    columns = _rows()
    columns["y"] = 1e9 + np.asarray(columns["x"])
    with pytest.raises(DataError, match="seven digits"):
        lepta.fit(lepta.Dataset.read(columns, target="y"))


def _write(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_file_is_read_as_the_training_file_was(tmp_path: Path) -> None:
    """Versions, US dates and compact dates: a later file would be guessed otherwise."""
    rng = np.random.default_rng(1)
    versions = rng.choice(["1.10", "1.20", "1.5", "2.0.1"], 300)
    days = np.datetime64("2023-01-01") + rng.integers(0, 700, 300).astype("timedelta64[D]")
    label = np.where(
        np.isin(versions, ["1.10", "2.0.1"]) ^ (days > np.datetime64("2024-01-01")), "a", "b"
    )
    iso = [str(day) for day in days]
    us = [f"{day[5:7]}/{day[8:]}/{day[:4]}" for day in iso]
    compact = [day.replace("-", "") for day in iso]
    header = "version,when,day,y"
    rows = [",".join(row) for row in zip(versions, us, compact, label, strict=True)]
    train = _write(tmp_path / "train.csv", header, rows)
    bundle = lepta.fit(train, target="y", learner="trees")
    whole = lepta.evaluate(bundle, train)
    assert whole["accuracy"].value > 0.9
    for version in ("1.10", "1.20"):
        chosen = [n for n in range(300) if versions[n] == version and int(iso[n][8:]) <= 12]
        part = _write(tmp_path / "part.csv", header, [rows[n] for n in chosen])
        np.testing.assert_allclose(
            lepta.evaluate(bundle, part).scores, whole.scores[chosen], atol=1e-6
        )


def test_true_is_true_however_it_is_written(tmp_path: Path) -> None:
    flags = ["True", "False"] * 100
    rows = [f"{flag},{'yes' if flag == 'True' else 'no'}" for flag in flags]
    path = _write(tmp_path / "flags.csv", "flag,y", rows)
    bundle = lepta.fit(path, target="y", learner="linear")
    forms = [True, "True", "true", np.bool_(True)]
    answers = lepta.predict(bundle, [{"flag": form} for form in forms])
    assert (answers.scores[:, 1] == answers.scores[0, 1]).all()
    assert answers.prediction.tolist() == ["yes"] * 4


def test_columns_of_pandas_and_no_rows_at_all() -> None:
    data = lepta.Dataset.read(_rows(), target="y")
    bundle = lepta.fit(data, learner="linear")
    frame = pd.DataFrame({"x": [0.0, 1.0], "z": pd.array([1, None], dtype="Int64")})
    assert len(lepta.predict(bundle, {"x": frame.x, "z": frame.z})) == 2
    assert len(lepta.predict(bundle, frame)) == 2
    assert len(lepta.predict(bundle, [])) == 0


def test_a_missing_number_is_not_zero() -> None:
    columns = _rows(400)
    columns["x"] = 50 + 5 * np.asarray(columns["x"])
    bundle = lepta.fit(lepta.Dataset.read(columns, target="y"), learner="trees")
    scores = lepta.predict(bundle, {"x": [None, 0.0, 50.0], "z": [0.0, 0.0, 0.0]}).scores[:, 1]
    assert abs(scores[0] - scores[2]) < abs(scores[1] - scores[2])


@pytest.mark.parametrize("dtype", ["int16", "float16", "int64"])
def test_image_arrays_of_any_type_beside_a_field_called_table(dtype: str) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (60, 20, 20)).astype(dtype)
    images[::2, 5:10, 5:10] += np.array(100, dtype)
    columns = {"table": images, "z": rng.normal(size=60), "y": ["yes", "no"] * 30}
    data = lepta.Dataset.read(columns, target="y")
    bundle = lepta.fit(data, learner="resnet", settings={"loop": {"epochs": 2}})
    row = {"table": [images[0]], "z": [0.0]}
    assert np.isfinite(lepta.predict(bundle, row).scores).all()


def test_four_channels_are_refused_before_training() -> None:
    images = np.zeros((30, 8, 8, 4), np.uint8)
    data = lepta.Dataset.read({"image": images, "y": ["a", "b"] * 15}, target="y")
    with pytest.raises(DataError, match="4 channels"):
        lepta.fit(data, learner="resnet")


def test_unicode_column_names_all_the_way(tmp_path: Path) -> None:
    columns = _rows()
    renamed = {"größe (cm)": columns["x"], "年齢": columns["z"], "État": columns["y"]}
    pd.DataFrame(renamed).to_csv(tmp_path / "ü.csv", index=False)
    bundle = lepta.fit(tmp_path / "ü.csv", target="État", learner="trees")
    loaded = lepta.Bundle.load(bundle.save(tmp_path / "modèle.lepta"))
    assert lepta.predict(loaded, {"größe (cm)": 2.0, "年齢": 0.0}).prediction.tolist() == ["yes"]
