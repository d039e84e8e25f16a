import math
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepta.core.values import label_of, number_of, seconds_of


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (" a ", "a"),
        (1, "1"),
        (1.0, "1"),
        (np.float32(2), "2"),
        (0.5, "0.5"),
        (True, "true"),
        (np.bool_(False), "false"),
        (None, None),
        ("", None),
        (" ", None),
        (math.nan, None),
    ],
)
def test_labels(value, label):
    assert label_of(value) == label


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_has_one_label_however_it_is_typed(value):
    assert label_of(value) == label_of(float(value)) == label_of(str(value))


@pytest.mark.parametrize(("value", "number"), [("1.5", 1.5), (" 2 ", 2.0), (True, 1.0), (3, 3.0)])
def test_numbers(value, number):
    assert number_of(value) == number


@pytest.mark.parametrize("value", [None, "", "  ", math.nan])
def test_missing_numbers_are_nan(value):
    assert math.isnan(number_of(value))


@pytest.mark.parametrize("value", ["x", [1], datetime(2026, 1, 1), date(2026, 1, 1)])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match=r"number|float"):
        number_of(value)


@pytest.mark.parametrize(
    "value",
    [
        "1970-01-02",
        "1970-01-02T00:00:00Z",
        " 1970-01-02T01:00:00+01:00 ",
        date(1970, 1, 2),
        datetime(1970, 1, 2),
        datetime(1970, 1, 2, tzinfo=UTC),
        datetime(1970, 1, 2, 2, tzinfo=timezone(timedelta(hours=2))),
        np.datetime64("1970-01-02"),
        np.datetime64("1970-01-02T00:00:00", "ns"),
        86400,
    ],
)
def test_points_in_time(value):
    assert seconds_of(value) == 86400.0


@pytest.mark.parametrize("value", [None, "", " ", np.datetime64("NaT"), math.nan])
def test_missing_points_in_time_are_nan(value):
    assert math.isnan(seconds_of(value))


def test_what_is_no_point_in_time_is_refused():
    with pytest.raises(ValueError, match="isoformat"):
        seconds_of("yesterday")
