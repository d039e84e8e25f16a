from datetime import datetime

import numpy as np
import pytest

from lepta.core.errors import SchemaError
from lepta.core.schema import Kind
from lepta.data import Dataset


def column(write, cells, name="a", **options):
    text = "\n".join([f"{name},z", *(f"{cell},{i}" for i, cell in enumerate(cells))])
    data = Dataset.read(write("t.csv", text + "\n"), **options)
    return data, data.column(name)


@pytest.mark.parametrize("word", ["NA", "N/A", "n/a", "nan", "NaN", "null", "None", "?", "-"])
def test_words_for_missing_values_are_taken_and_told(write, word):
    data, values = column(write, ["12", word, "", " 7 "])
    assert values == [12, None, None, 7]
    (issue,) = [issue for issue in data.notes if issue.code == "missing_words"]
    assert issue.rows == (2,)
    assert repr(word) in issue.text
    assert np.isnan(data.numpy("a")[1])


def test_a_target_may_be_called_none(write):
    _data, values = column(write, ["None", "scratch", "None", "-"], target="a")
    assert values == ["None", "scratch", "None", "-"]
    _data, values = column(write, ["None", "scratch", "?", ""], target="a")
    assert values == ["None", "scratch", None, None]


def test_typed_text_keeps_its_words():
    data = Dataset.read({"a": ["None", "x", ""], "b": ["1", "n/a", "3"]})
    assert data.column("a") == ["None", "x", None]
    assert data.column("b") == [1, None, 3]


def test_numbers_as_text(write):
    assert column(write, ["+1", "-2", "3"])[1] == [1, -2, 3]
    assert column(write, ["1.5", ".5", "1e3", "-inf"])[1] == [1.5, 0.5, 1000.0, -np.inf]
    assert column(write, ["007", "012"])[1] == ["007", "012"]
    assert column(write, ["12345678901234567890"])[1] == [12345678901234567890.0]
    text = "a;b\n1,5;x\n2;y\n"
    assert Dataset.read(write("t.csv", text)).column("a") == [1.5, 2.0]


def test_a_few_words_among_numbers_are_reported(write):
    data, values = column(write, [*map(str, range(19)), "12 mm"])
    assert values[0] == "0"
    (issue,) = [issue for issue in data.notes if issue.code == "mixed_types"]
    assert issue.rows == (20,)
    assert "'12 mm'" in issue.text


@pytest.mark.parametrize(
    "cells",
    [
        ["2024-02-01", "2024-02-29"],
        ["2024-02-01 00:00:00", "2024-02-29T00:00:00Z"],
        ["2024-02-01T01:00:00+01:00", "2024-02-29"],
        ["2024/02/01", "2024/2/29"],
        ["01.02.2024", "29.02.2024"],
        ["1/2/2024", "29/2/2024"],
        ["2/1/2024", "2/29/2024"],
    ],
)
def test_points_in_time(write, cells):
    data, values = column(write, cells)
    assert data.schema["a"].kind == Kind.DATETIME
    assert values == [datetime(2024, 2, 1), datetime(2024, 2, 29)]


def test_ambiguous_and_impossible_dates(write):
    data, values = column(write, ["1/2/2024", "3/4/2024"])
    assert values[0] == datetime(2024, 2, 1)
    assert any(issue.code == "ambiguous_date" for issue in data.notes)
    assert column(write, ["2024-02-01", "2024-02-31"])[1] == ["2024-02-01", "2024-02-31"]


def test_compact_dates_only_under_a_name_that_tells(write):
    assert column(write, ["20240201"], name="study_date")[1] == [datetime(2024, 2, 1)]
    assert column(write, ["20240201"], name="amount")[1] == [20240201]


def test_kinds_that_do_not_fit_name_the_row(write):
    with pytest.raises(SchemaError, match="not numbers: 'two'") as caught:
        column(write, ["1", "two"], kinds={"a": "number"})
    assert caught.value.where.row == 2
    with pytest.raises(SchemaError, match="not points in time"):
        column(write, ["yesterday", "today"], kinds={"a": "datetime"})
