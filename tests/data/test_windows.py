"""Rows in order of time become windows, and nothing of the future is seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lepta
from lepta.core.errors import DataError, SchemaError
from lepta.core.schema import Kind, Role


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
