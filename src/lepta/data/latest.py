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
    distance between two rows after the last one.

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
    past = [matrix_of(data, plan.past, mine[: end + 1][-options.length :]) for mine, end in rows]
    whole = [
        np.pad(p, ((options.length - len(p), 0), (0, 0)), constant_values=np.nan) for p in past
    ]
    table.add(Field(name=PAST, kind=Kind.SERIES), np.stack(whole))
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


def _next(moments: Floats, end: int) -> float:
    if end + 1 < len(moments):
        return float(moments[end + 1])
    steps = np.diff(moments[: end + 1])
    return float(moments[end] + (np.median(steps) if len(steps) else 0.0))
