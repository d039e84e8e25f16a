"""Predicting rows, columns, tables, files and arrays with a loaded bundle."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import lepta
from lepta.bundle import Bundle
from lepta.core.errors import BundleError, DataError, DecodeError, InputError, MissingExtraError
from lepta.runtime import Predictor
from lepta.runtime.predictor import write_example

COLUMNS = {"age": [30.0, 50.0, None], "weight": [1.0, None, 2.0], "city": ["Rome", "Oslo", None]}
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
LOGITS = np.array([3.0, 5.0, -2.0])
YES = 1 / (1 + np.exp(-LOGITS))


def png(value: int, height: int = 8, width: int = 6) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((height, width), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        COLUMNS,
        pd.DataFrame(COLUMNS),
        pl.DataFrame(COLUMNS),
        pa.table(COLUMNS),
        {**COLUMNS, "more": [1, 2, 3]},
        {
            "age": np.array([30, 50, np.nan]),
            "weight": np.array([1, np.nan, 2]),
            "city": ["Rome", "Oslo", ""],
        },
    ],
    ids=["rows", "columns", "pandas", "polars", "arrow", "more columns", "numpy"],
)
def test_every_form_of_rows_gives_the_same(table_bundle: Bundle, rows: object) -> None:
    predictions = lepta.predict(table_bundle, rows)
    np.testing.assert_allclose(predictions.scores[:, 1], YES, atol=1e-6)
    assert predictions.prediction.tolist() == ["yes", "yes", "no"]
    assert list(predictions.columns()) == ["prediction", "probability[no]", "probability[yes]"]
    assert predictions.rows()[2]["prediction"] == "no"


def test_one_row_and_an_optional_field_left_out(table_bundle: Bundle) -> None:
    predictor = Predictor(table_bundle)
    assert len(predictor.predict({"age": 50, "city": "Oslo"})) == 1
    assert len(predictor.predict([{"age": 50, "city": "Oslo"}])) == 1
    assert predictor.predict({"age": [], "city": []}).scores.shape == (0, 2)


def test_files_bytes_and_arrays(image_bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(200))
    predictor = Predictor(image_bundle)
    wanted = predictor.scores(np.full((8, 6), 200, np.uint8))
    forms = [path, str(path), png(200), np.full((8, 6, 1), 200, np.uint8), {"scan": path}]
    for form in forms:
        np.testing.assert_array_equal(predictor.scores(form), wanted)


def test_images_of_many_shapes_keep_their_order(image_bundle: Bundle) -> None:
    values = np.random.default_rng(0).integers(0, 255, 150)
    files = [png(int(v), 4 + int(v) % 3, 5 + int(v) % 2) for v in values]
    scores = Predictor(image_bundle, threads=2).scores(files)[:, 1]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(1 - values / 100)), atol=1e-5)


def test_sixteen_bits_become_eight_by_range(image_bundle: Bundle) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 6), 200 * 257, np.uint16)).save(stream, "PNG")
    predictor = Predictor(image_bundle)
    np.testing.assert_array_equal(predictor.scores(stream.getvalue()), predictor.scores(png(200)))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"aeg": [1], "city": ["a"]}, ["'age' (number) is missing", "Did you mean 'aeg'?"]),
        ({"age": [1, 2], "city": ["a"]}, ["differ in length"]),
        (
            [{"age": 1, "city": "a"}, {"age": "old", "city": "a"}],
            ["'old' is not a number", "row 2"],
        ),
        (7, ["does not name them"]),
    ],
)
def test_wrong_rows_are_explained(table_bundle: Bundle, rows: object, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        Predictor(table_bundle).predict(rows)
    for word in words:
        assert word in str(caught.value)


def test_wrong_images_are_explained(image_bundle: Bundle, tmp_path: Path) -> None:
    predictor = Predictor(image_bundle)
    with pytest.raises(InputError, match=r"expected \(height, width, 1\)"):
        predictor.predict(np.zeros((2, 8, 6, 3), np.uint8))
    with pytest.raises(InputError, match="float64 do not fit the model's uint8"):
        predictor.predict(np.full((8, 6), 0.5))
    with pytest.raises(DataError, match="cannot be read"):
        predictor.predict(tmp_path / "absent.png")
    with pytest.raises(DecodeError) as caught:
        predictor.predict([png(1), png(2)[:45]])
    assert caught.value.where is not None
    assert caught.value.where.row == 2


def test_self_test_refuses_a_graph_that_answers_otherwise(table_bundle: Bundle) -> None:
    wrong = np.array([[0.5, 0.5]], np.float32)
    tensors = {
        "numbers": np.array([[30.0, 0.0]], np.float32),
        "categories": np.array([["Rome"]], object),
    }
    broken = table_bundle.with_members({"examples/000.npz": write_example(tensors, wrong)})
    with pytest.raises(BundleError, match="self-test"):
        Predictor(broken)
    assert Predictor(broken, self_test=False).task.name == "binary"


def test_a_graph_that_does_not_fit_the_manifest(table_bundle: Bundle, image_bundle: Bundle) -> None:
    mixed = table_bundle.with_members({"model.onnx": image_bundle.read("model.onnx")})
    with pytest.raises(BundleError, match="the manifest says"):
        Predictor(mixed)


def test_an_absent_provider_is_named(table_bundle: Bundle) -> None:
    with pytest.raises(MissingExtraError, match="NoSuchProvider"):
        Predictor(table_bundle, providers=["NoSuchProvider"])


@given(st.lists(st.one_of(st.none(), st.text(), st.booleans(), st.floats()), min_size=1))
def test_any_category_is_taken(values: list[object]) -> None:
    from lepta.bundle import InputSpec
    from lepta.core.schema import Kind
    from lepta.runtime.pack import to_array

    spec = InputSpec(name="x", kind=Kind.CATEGORY, dtype="string", shape=(-1,))
    strings = to_array(spec, values)
    assert len(strings) == len(values)
    assert all(isinstance(text, str) for text in strings)


plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(-1e6, 1e6),
    st.just(float("nan")),
    st.sampled_from(["", " ", "Rome", " Oslo ", "TRUE", "1.0", "007", "3e2", "-4"]),
)


@given(row=st.fixed_dictionaries({"age": plain, "city": plain}, optional={"weight": plain}))
def test_the_short_way_of_a_row_is_that_of_columns(table_bundle: Bundle, row: dict) -> None:
    predictor = Predictor(table_bundle, self_test=False)
    assert _answer(predictor, row) == _answer(predictor, [row])


def _answer(predictor: Predictor, rows: object) -> object:
    try:
        return predictor.scores(rows).tolist()
    except InputError as error:
        return (error.what, error.where)
