"""Rows in order of time become windows, and nothing of the future is seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lepta
from lepta.core.errors import DataError, SchemaError
from lepta.core.schema import Kind, Role
from lepta.data import folds
from lepta.data.latest import latest
from lepta.data.windows import UNTIL, stretches


def _long(lengths: list[int]) -> dict[str, list[float]]:
    """Return series whose values say which series and row they are: 1000 * series + row."""
    unit = [number for number, length in enumerate(lengths) for _ in range(length)]
    row = [place for length in lengths for place in range(length)]
    return {
        "unit": [f"u{number}" for number in unit],
        "hour": row,
        "load": [1000.0 * u + r for u, r in zip(unit, row, strict=True)],
        "plan": [0.5 + r for r in row],
    }


def _read(columns: dict[str, list[float]], **window: object) -> lepta.Dataset:
    options = {"target": "load", "time_field": "hour", "kinds": {"unit": "category"}}
    return lepta.Dataset.read(columns, window=window, **options)


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    length=st.integers(1, 5),
    horizon=st.integers(1, 4),
    step=st.integers(1, 3),
)
def test_each_window_sees_its_own_past_and_is_asked_for_its_own_future(
    lengths: list[int], length: int, horizon: int, step: int
) -> None:
    columns = _long(lengths)
    if max(lengths) <= horizon:
        with pytest.raises(DataError, match="longer than the horizon"):
            _read(columns, length=length, horizon=horizon, step=step, by="unit", known=["plan"])
        return
    data = _read(columns, length=length, horizon=horizon, step=step, by="unit", known=["plan"])
    past, ahead, wanted = data.numpy("past"), data.numpy("ahead"), data.targets()
    assert past.shape == (len(data), length, 2)
    for row, unit in enumerate(data.column("unit")):
        first = wanted[row, 0, 0]
        assert unit == f"u{int(first // 1000)}"
        assert wanted[row, :, 0].tolist() == [first + k for k in range(horizon)]
        assert ahead[row, :, 0].tolist() == [first % 1000 + 0.5 + k for k in range(horizon)]
        seen = past[row, :, 0][np.isfinite(past[row, :, 0])]
        assert seen.tolist() == [first - k for k in range(len(seen), 0, -1)]
        assert len(seen) == min(length, int(first % 1000))


def test_without_a_horizon_each_row_keeps_its_target_and_gains_its_past() -> None:
    data = _read(_long([9, 5]), length=3, by="unit", past=["plan"])
    assert data.task.name == "regression"
    assert len(data) == 14
    assert data.schema["unit"].role == Role.GROUP
    assert data.schema["past"].kind == Kind.SERIES
    assert data.targets().tolist() == [*range(9), *range(1000, 1005)]
    first = data.numpy("past")[9, :, 0]
    assert np.isnan(first[:2]).all()
    assert first[2] == 0.5


def test_splits_are_in_order_of_time_and_a_horizon_apart() -> None:
    data = _read(_long([200]), length=8, horizon=6).split(valid=0.2, test=0.2)
    train, valid, test = (data[name].targets()[:, :, 0] for name in ("train", "valid", "test"))
    assert train.max() < valid[:, 0].min()
    assert valid.max() < test[:, 0].min()
    assert len(train) > 100


def test_rows_without_a_time_are_taken_in_order() -> None:
    columns = _long([60])
    del columns["hour"]
    data = lepta.Dataset.read(columns, target="load", window={"length": 4, "horizon": 2})
    split = data.split()
    assert split["train"].targets().max() < split["test"].targets()[:, 0].min()


def test_a_gap_in_what_is_asked_for_drops_the_window() -> None:
    columns = _long([30])
    columns["load"][20] = None  # type: ignore[call-overload]
    data = _read(columns, length=4, horizon=3)
    assert np.isfinite(data.targets()).all()
    assert len(data) == 30 - 3 - 3 - 3


def test_an_unknown_field_is_named_and_the_nearest_is_suggested() -> None:
    with pytest.raises(SchemaError, match=r"'plam'.*Did you mean 'plan'"):
        _read(_long([9]), length=2, horizon=1, known=["plam"])
    with pytest.raises(SchemaError, match="'unit' of the window is no number"):
        _read(_long([9, 9]), length=2, horizon=1, past=["unit"])


def test_series_of_different_rhythm_are_split_by_when_their_forecasts_end() -> None:
    """Seven rows of a daily series are longer than seven of an hourly one."""
    hour = [*range(2400), *range(0, 2400, 24)]
    columns = {"unit": ["h"] * 2400 + ["d"] * 100, "hour": hour, "load": [*map(float, hour)]}
    data = _read(columns, length=4, horizon=7, by="unit").split()  # type: ignore[arg-type]
    assert set(data["train"].column("unit")) == {"h", "d"}
    for name, later in (("train", "valid"), ("valid", "test")):
        assert data[name].targets().max() < data[later].targets().min()


def test_no_fold_is_trained_on_what_it_is_tested_on() -> None:
    data = _read(_long([120]), length=4, horizon=6)
    wanted = data.targets()
    for train, test in folds(data, 4):
        assert wanted[train].max() < wanted[test].min()


def test_a_window_is_in_a_split_if_all_that_it_forecasts_is() -> None:
    columns = _long([120])
    columns["part"] = ["train"] * 80 + ["valid"] * 20 + ["test"] * 20  # type: ignore[list-item]
    data = lepta.Dataset.read(
        columns, target="load", time_field="hour", split="part", window={"length": 4, "horizon": 6}
    )
    wanted = {name: data[name].targets() for name in data.splits}
    assert wanted["train"].max() == 79
    assert (wanted["valid"].min(), wanted["valid"].max()) == (80, 99)
    assert (wanted["test"].min(), wanted["test"].max()) == (100, 119)
    columns["part"] = ["train", "test"] * 60  # type: ignore[list-item]
    with pytest.raises(DataError, match="in one split"):
        lepta.Dataset.read(columns, target="load", split="part", window={"length": 4, "horizon": 6})


def test_series_below_each_other_without_a_time_are_each_split() -> None:
    columns = _long([100, 100])
    del columns["hour"]
    window = {"length": 4, "horizon": 2, "by": "unit"}
    data = lepta.Dataset.read(columns, target="load", window=window).split()
    for name in ("train", "valid", "test"):
        assert set(data[name].column("unit")) == {"u0", "u1"}


def test_what_is_to_be_predicted_is_not_shown() -> None:
    with pytest.raises(SchemaError, match="'load' is to be predicted for the last row"):
        _read(_long([20]), length=4, past=["plan", "load"])
    with pytest.raises(SchemaError, match="'load' is to be forecast"):
        _read(_long([20]), length=4, horizon=2, known=["load"])
    assert _read(_long([20]), length=4, horizon=2, known=["plan"], also=["*"]).task.fields == (
        "load",
    )


def test_a_row_without_its_time_is_refused_and_moments_that_occur_twice_are_told() -> None:
    columns = _long([20])
    columns["hour"] = [place // 2 for place in range(20)]
    notes = _read(columns, length=4, horizon=2).notes
    assert [(note.code, note.rows[:2]) for note in notes] == [("repeated_time", (2, 4))]
    columns["hour"][5] = None  # type: ignore[call-overload]
    with pytest.raises(DataError, match="'hour' is missing in 1 row") as refused:
        _read(columns, length=4, horizon=2)
    assert refused.value.where is not None
    assert refused.value.where.row == 6


def test_gaps_everywhere_are_told() -> None:
    columns = _long([20])
    columns["load"] = [None if place % 2 else 1.0 for place in range(20)]  # type: ignore[misc]
    with pytest.raises(DataError, match="No 3 rows in a row have all of load"):
        _read(columns, length=4, horizon=3)


def test_a_gap_in_the_past_of_a_forecast_holds_the_value_before_it() -> None:
    columns = _long([8, 8])
    columns["plan"][0] = columns["plan"][3] = columns["plan"][8] = None  # type: ignore[call-overload]
    data = _read(columns, length=4, horizon=1, by="unit", past=["plan"])
    seen = data.numpy("past")[:, :, 0]
    np.testing.assert_equal(seen[0], [np.nan, 1.5, 2.5, 2.5])
    np.testing.assert_equal(seen[4], [np.nan, 1.5, 2.5, 3.5])
    assert data.column("unit")[4] == "u1"


@pytest.mark.parametrize(
    ("moments", "wanted"),
    [
        (["2026-01-01", "2026-02-01", "2026-03-01"], "2026-04-01"),
        (["2026-01-31", "2026-02-28", "2026-03-31"], "2026-04-30"),
        (["2025-07-15", "2025-10-15", "2026-01-15"], "2026-04-15"),
        (["2026-01-01", "2026-01-02", "2026-01-04", "2026-01-05"], "2026-01-06"),
        (["2025-12-01", "2026-12-01"], "2027-12-01"),
    ],
)
def test_what_follows_begins_one_step_later(moments: list[str], wanted: str) -> None:
    options = {"length": 2, "horizon": 1}
    columns = {"day": moments, "load": [1.0 * k for k in range(len(moments))]}
    data = lepta.Dataset.read(columns, target="load", time_field="day", kinds={"load": "number"})
    made = lepta.Dataset.read(columns, target="load", time_field="day", window=options)
    assert made.window is not None
    (start,) = latest(data, made.window).column("start")
    assert str(start.date()) == wanted
    assert UNTIL in made.schema


def test_stretches_are_twice_as_long_as_a_forecast() -> None:
    found = stretches(_read(_long([60, 40]), length=4, horizon=5, by="unit"))
    assert found is not None
    assert np.bincount(found).tolist() == [20, 20, 20, 12, 10, 2]
    assert stretches(_read(_long([60]), length=4, horizon=1)) is None
    assert stretches(_read(_long([60]), length=4, past=["plan"])) is None
