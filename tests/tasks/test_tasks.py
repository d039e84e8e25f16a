import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lepta.core.errors import ConfigError, DataError, SchemaError
from lepta.core.values import label_of
from lepta.tasks import TASKS, Binary, Multiclass, Regression, task_from_json
from lepta.tasks.objective import objective_of

LABELS = st.lists(st.text(min_size=1, max_size=6).map(str.strip).filter(bool), unique_by=label_of)
BINARY = Binary(target="ill", classes=("Negative", "Positive"), threshold=0.3)
TASKS_OF_EACH_KIND = [
    BINARY,
    Multiclass(target="t", classes=("a", "b", "c")),
    Regression(target="t", unit="mm"),
]


@pytest.mark.parametrize("task", TASKS_OF_EACH_KIND)
def test_a_task_survives_json(task):
    assert task_from_json(task.model_dump(mode="json")) == task


@pytest.mark.parametrize("task", TASKS_OF_EACH_KIND)
def test_a_task_keeps_its_contract(task):
    scores = np.full((3, task.width), 1 / task.width, np.float32)
    output, columns = task.output(), task.columns(scores)
    assert (output.dtype, output.shape) == ("float32", (-1, task.width))
    assert next(iter(columns)) == "prediction"
    assert all(len(values) == 3 for values in columns.values())
    assert (columns["prediction"] == task.decide(scores)).all()
    assert task.metrics
    assert objective_of(task).width(task) >= 1
    assert task.name in TASKS.names()
    assert TASKS.get(task.name) is type(task)


@given(classes=LABELS.filter(lambda labels: len(labels) >= 2), data=st.data())
def test_encoding_is_undone_by_deciding(classes, data):
    task = Multiclass(target="t", classes=tuple(classes))
    labels = data.draw(st.lists(st.sampled_from(classes), max_size=20))
    codes = task.encode(labels)
    assert codes.dtype == np.int64
    scores = np.eye(len(classes), dtype=np.float32)[codes]
    assert task.decide(scores).tolist() == labels


def test_the_threshold_decides_a_binary_task():
    scores = np.array([[0.71, 0.29], [0.7, 0.3], [0.2, 0.8]])
    assert BINARY.decide(scores).tolist() == ["Negative", "Positive", "Positive"]
    assert list(BINARY.columns(scores)) == [
        "prediction",
        "probability[Negative]",
        "probability[Positive]",
    ]
    assert BINARY.positive == "Positive"


def test_a_misspelt_class_is_named_with_its_row_and_the_nearest():
    with pytest.raises(DataError, match=r"'Posiive' is not a class.*'Positive'") as caught:
        BINARY.encode(["Negative", "Posiive"])
    assert (caught.value.where.row, caught.value.where.field) == (2, "ill")
    assert caught.value.fix == "The classes are: Negative, Positive."


@pytest.mark.parametrize("value", [None, float("nan"), "", "  "])
def test_a_missing_class_is_told(value):
    with pytest.raises(DataError, match="'ill' is missing"):
        BINARY.encode([value])


def test_numbers_and_booleans_read_as_classes():
    task = Binary(target="t", classes=("0", "1"))
    assert task.encode([0, 1.0, "1", np.int64(1), np.float32(0)]).tolist() == [0, 1, 1, 1, 0]
    task = Binary(target="t", classes=("false", "true"))
    assert task.encode([False, np.bool_(True)]).tolist() == [0, 1]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "x", "1,5"])
def test_a_target_that_is_no_finite_number_is_told(value):
    with pytest.raises(DataError) as caught:
        Regression(target="t").encode([1.0, value])
    assert caught.value.where.row == 2


def test_regression_reads_numbers():
    task = Regression(target="t")
    codes = task.encode([1, "2.5", np.float32(3)])
    assert (codes.dtype, codes.tolist()) == (np.float64, [1.0, 2.5, 3.0])
    assert task.decide(np.array([[1.0], [2.0]])).tolist() == [1.0, 2.0]


def test_classes_are_distinct_and_enough():
    with pytest.raises(SchemaError, match="not distinct"):
        Binary(target="t", classes=("a", "a"))
    for wrong in (("a",), ("a", "b", "c")):
        with pytest.raises(ValidationError):
            Binary(target="t", classes=wrong)


@pytest.mark.parametrize(
    ("document", "message"),
    [({"name": "binari"}, "Did you mean 'binary'"), ({}, "a 'name'"), ([], "a 'name'")],
)
def test_what_is_no_task_is_refused(document, message):
    with pytest.raises(ConfigError, match=message):
        task_from_json(document)


@pytest.mark.parametrize("classes", [("1", "1.0", "2"), ("True", "true", "no"), ("a", "a", "b")])
def test_two_ways_to_write_one_class_are_refused(classes):
    with pytest.raises(SchemaError, match="not distinct"):
        Multiclass(target="t", classes=classes)


@given(st.lists(st.from_regex(r"0\d{1,6}", fullmatch=True), min_size=2, unique=True))
def test_codes_with_leading_zeros_stay_apart(codes):
    assert [label_of(code) for code in codes] == codes
    task = Multiclass(target="t", classes=tuple(codes))
    assert task.encode(codes).tolist() == list(range(len(codes)))
