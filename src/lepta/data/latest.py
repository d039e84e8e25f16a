"""The last window of each series, whose future is to be forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import DataError
from lepta.core.schema import Field, Kind, Role
from lepta.data.windows import (
    AHEAD,
    PAST,
    START,
    Columns,
    Floats,
    WindowOptions,
    held,
    matrix_of,
    plan_of,
    series_of,
)

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset


def latest(data: Dataset, options: WindowOptions) -> Dataset:
    """Return the last window of each series.

    A series ends with its last row that has a target. Rows after it are the ones to forecast: they
    are needed where ``options.known`` names fields. Without them the first step ahead is the usual
    distance between two rows after the last one, in months where all rows are months apart.

    Args:
        data: one row per moment, as :func:`~lepta.data.windows.windows` takes it.
        options: as the model was trained; ``past`` names its fields.

    Raises:
        SchemaError: a field does not exist or is no number.
        DataError: no row has a target, or a row ahead lacks what is known ahead.
    """
    plan = plan_of(data, options)
    known = np.isfinite(np.asarray(data.numpy(plan.targets[0]), np.float64))
    ends = [(mine, np.flatnonzero(known[mine])) for mine in series_of(data, plan)]
    rows = [(mine, int(seen[-1])) for mine, seen in ends if seen.size]
    if not rows:
        raise DataError(f"No row has a value of {plan.targets[0]!r}, from which to go on.")
    last = np.array([mine[end] for mine, end in rows])
    table = Columns()
    if options.length and plan.past:
        past = [held(matrix_of(data, plan.past, mine[: end + 1])) for mine, end in rows]
        table.add(Field(name=PAST, kind=Kind.SERIES), np.stack([_last(p, options) for p in past]))
    if plan.known:
        ahead = [
            _following(data, plan.known, mine[end + 1 :], options.horizon) for mine, end in rows
        ]
        table.add(Field(name=AHEAD, kind=Kind.SERIES), np.stack(ahead))
    if plan.time is not None and plan.time.kind == Kind.DATETIME:
        moments = data.numpy(plan.time.name)
        starts = np.array([_next(moments[mine], end) for mine, end in rows])
        stamps = (starts * 1e6).round().astype("datetime64[us]")
        table.add(Field(name=START, kind=Kind.DATETIME), stamps)
    if plan.by is not None:
        by = plan.by.model_copy(update={"role": Role.INPUT, "kind": Kind.CATEGORY})
        table.add(by, data.table[plan.by.name].take(last))
    return table.dataset(data, options, plan, last)


def _following(
    data: Dataset, names: tuple[str, ...], rows: NDArray[np.int64], horizon: int
) -> Floats:
    values = matrix_of(data, names, rows[:horizon])
    if len(values) < horizon or not np.isfinite(values).all():
        raise DataError(
            f"What is known ahead ({', '.join(names)}) is given for {len(values)} of {horizon} "
            "rows to forecast.",
            fix="Add these rows below each series, with the target left empty.",
        )
    return values


def _last(values: Floats, options: WindowOptions) -> Floats:
    """Return the last rows of a series (length, fields), NaN before its first one."""
    seen = values[-options.length :]
    return np.pad(seen, ((options.length - len(seen), 0), (0, 0)), constant_values=np.nan)


def _next(moments: Floats, end: int) -> float:
    """Return when the row after ``end`` takes place, in seconds."""
    if end + 1 < len(moments):
        return float(moments[end + 1])
    seen = (moments[: end + 1] * 1e6).round().astype("datetime64[us]")
    if len(seen) < 2:
        return float(moments[end])
    months = seen.astype("datetime64[M]")
    gaps = np.diff(months).astype(np.int64)
    into = seen - months  # time since the month began, or left until it ends
    left = (months + 1).astype("datetime64[us]") - seen
    if gaps.min() == gaps.max() > 0:
        after = (months[-1] + gaps[0]).astype("datetime64[us]")
        if (into == into[0]).all():
            return _seconds(after + into[0])
        if (left == left[0]).all():
            return _seconds((months[-1] + gaps[0] + 1).astype("datetime64[us]") - left[0])
    return float(moments[end] + np.median(np.diff(moments[: end + 1])))


def _seconds(moment: np.datetime64) -> float:
    return float(moment.astype(np.int64)) / 1e6
