"""Windows over rows in order of time: what was seen, and what is to be forecast.

A table of one row per moment becomes one row per *cutoff*: the present of one series. Each sees
the last ``length`` rows of its series, and, when forecasting, is asked for the next ``horizon``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option

from lepta.core.config import Config
from lepta.core.errors import DataError, SchemaError, Where, suggest
from lepta.core.schema import Field, Kind, Role, Schema
from lepta.data.issues import Issue, some

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset

PAST, AHEAD, START, ROW, UNTIL = "past", "ahead", "start", "row", "until"
"""Fields of a window: (length, past fields), (horizon, known fields); when the first row that is
forecast takes place, or its place in its series without a time; and the same of the last one."""
ALL = "*"
_KEPT = (Role.SPLIT, Role.WEIGHT, Role.GROUP)
Floats = NDArray[np.float64]


class WindowOptions(Config):
    """How rows in order of time become windows."""

    length: int = Option(default=0, ge=0, description="Rows of the past that are seen; 0: none.")
    horizon: int = Option(
        default=0,
        ge=0,
        description="Rows ahead to forecast; 0: predict the target of the last row.",
    )
    by: str | None = Option(
        default=None, description="Field that tells series apart (a sensor, an engine, a shop)."
    )
    step: int = Option(default=1, ge=1, description="Rows from one window to the next.")
    past: tuple[str, ...] = Option(
        default=(), description="Fields whose past is seen; all numbers when none is named."
    )
    known: tuple[str, ...] = Option(
        default=(), description="Numbers that are known ahead: a calendar, a plan, the weather."
    )
    also: tuple[str, ...] = Option(
        default=(), description="Further fields to forecast with the target; * for all numbers."
    )


@dataclass(frozen=True)
class Plan:
    """Which fields go where, checked against the schema."""

    targets: tuple[str, ...]
    past: tuple[str, ...]
    known: tuple[str, ...]
    still: tuple[Field, ...]
    time: Field | None
    by: Field | None


def windows(data: Dataset, options: WindowOptions) -> Dataset:
    """Return one row per cutoff, in order of time within each series.

    Without a horizon each row keeps its fields and its target, and gains ``past``: the rows up to
    and with it. With one, the target becomes an array (horizon, targets), and fields that change
    are seen as part of ``past`` or ``ahead`` only. What is missing before the first row is NaN;
    with a horizon a gap within ``past`` holds the value before it. Where a field names splits, a
    window is in a split if all rows that it forecasts are; others are left out.

    Args:
        data: one row per moment, with a target that is a number and a time field (else rows are
            taken as they come).
        options: lengths, fields and the series.

    Raises:
        SchemaError: a field does not exist, is no number, or would tell what is to be predicted.
        DataError: no series is long enough, all have gaps, or a row lacks its time.
    """
    plan = plan_of(data, options)
    rows = _cutoffs(data, options, plan)
    if not rows:
        raise DataError(
            f"No series is longer than the horizon of {options.horizon} rows.",
            fix="Forecast fewer rows, or join series that belong together.",
        )
    made = _assembled(data, options, plan, rows)
    if not len(made):
        raise DataError(
            f"No {options.horizon} rows in a row have all of {', '.join(plan.targets)}"
            f"{' and are in one split' if data.schema.one(Role.SPLIT) else ''}.",
            where=Where(field=plan.targets[0]),
            fix="Fill the gaps, or forecast fewer rows.",
        )
    return replace(made, notes=(*made.notes, *_repeated(data, plan, rows)))


def _repeated(data: Dataset, plan: Plan, rows: list[Series]) -> Iterator[Issue]:
    """Yield that moments occur twice within a series: rows of several series may be mixed."""
    if plan.time is None:
        return
    moments = data.numpy(plan.time.name)
    again = [mine[1:][np.diff(moments[mine]) == 0] for mine, _ in rows]
    found = np.sort(np.concatenate(again))
    if found.size:
        yield Issue(
            code="repeated_time",
            severity="warning",
            text=f"{found.size} row(s) have the same {plan.time.name!r} as another row of their "
            "series; they are taken in the order in which they stand.",
            where=plan.time.name,
            fix="Tell series apart with window={'by': ...}, or drop rows that stand twice.",
            rows=some(found),
        )


def plan_of(data: Dataset, options: WindowOptions) -> Plan:
    """Return which fields go where.

    Raises:
        SchemaError: a field does not exist, is no number, or would tell what is to be predicted.
    """
    schema = data.schema
    target = schema.one(Role.TARGET)
    if target is None:
        raise SchemaError("The dataset has no target.", fix="Name it with target=.")
    free = [f.name for f in schema.inputs if f.kind == Kind.NUMBER and f.name != options.by]
    also = [n for n in free if n not in options.known] if ALL in options.also else options.also
    targets = (target.name, *(name for name in also if name != target.name))
    _require_unseen(options, targets)
    shown = options.past or (*(targets if options.horizon else ()), *free)
    for name in (*(targets if options.horizon else ()), *shown, *options.known):
        _require_number(schema, name)
    by = schema[options.by] if options.by is not None else None
    kept = (Role.SPLIT, Role.WEIGHT) if options.horizon else (Role.INPUT, *_KEPT)
    still = tuple(f for f in schema if f.role in kept and f.name != options.by)
    return Plan(
        targets=targets,
        past=tuple(dict.fromkeys(shown)),
        known=options.known,
        still=still,
        time=schema.one(Role.TIME),
        by=by,
    )


def _require_unseen(options: WindowOptions, targets: tuple[str, ...]) -> None:
    """Refuse to show what is to be predicted."""
    told = set(options.known) & set(targets) if options.horizon else {targets[0]} & {*options.past}
    if told:
        name = min(told)
        raise SchemaError(
            f"The field {name!r} is to be "
            + ("forecast, and so is not known ahead." if options.horizon else
               "predicted for the last row of the past, which would show it."),
            where=Where(field=name),
            fix="Leave it out of known=." if options.horizon else
            "Leave it out of past=, or forecast the next row with horizon=1.",
        )  # fmt: skip


def _require_number(schema: Schema, name: str) -> None:
    if name not in schema or schema[name].kind != Kind.NUMBER:
        numbers = [f.name for f in schema if f.kind == Kind.NUMBER]
        what = "is no number" if name in schema else "does not exist"
        raise SchemaError(
            f"The field {name!r} of the window {what}.{suggest(name, numbers)}",
            where=Where(field=name),
            fix=f"Numbers are: {', '.join(numbers[:50])}.",
        )


Series = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows of one series in order of time, and the places in it at which windows end."""


def series_of(data: Dataset, plan: Plan) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each series, in order of time.

    Raises:
        DataError: a row lacks its time.
    """
    count = len(data)
    moments = np.arange(count) if plan.time is None else data.numpy(plan.time.name)
    lost = np.flatnonzero(~np.isfinite(moments))
    if plan.time is not None and lost.size:
        raise DataError(
            f"The time {plan.time.name!r} is missing in {lost.size} row(s), which have no place in "
            "their series.",
            where=Where(row=int(data.row_numbers[lost[0]]), field=plan.time.name),
            fix="Fill it in, or drop the rows.",
        )
    keys = [0] * count if plan.by is None else data.column(plan.by.name)
    places: dict[Any, list[int]] = {}
    for row, key in enumerate(keys):
        places.setdefault(key, []).append(row)
    for rows in places.values():
        mine = np.array(rows)
        yield mine[np.argsort(moments[mine], kind="stable")]


def _cutoffs(data: Dataset, options: WindowOptions, plan: Plan) -> list[Series]:
    found = []
    for mine in series_of(data, plan):
        first = 0 if not options.horizon else min(options.length, len(mine) - options.horizon) - 1
        ends = np.arange(max(first, 0), len(mine) - options.horizon, options.step)
        if len(ends):
            found.append((mine, ends))
    return found


@dataclass
class Columns:
    """The table of windows in the making."""

    columns: dict[str, Any] = field(default_factory=dict)
    fields: list[Field] = field(default_factory=list)

    def add(self, kind: Field, values: Any) -> None:
        """Add a column; an array (rows, steps, channels) becomes one of series."""
        if isinstance(values, np.ndarray) and values.ndim == 3:
            values = _tensor(values.astype(np.float32))
        self.columns[kind.name] = values
        self.fields.append(kind)

    def dataset(
        self, data: Dataset, options: WindowOptions, plan: Plan, rows: NDArray[np.int64]
    ) -> Dataset:
        """Return the dataset of windows whose present is at ``rows`` of ``data``."""
        import pyarrow as pa

        told = options.model_copy(update={"past": plan.past, "also": plan.targets[1:]})
        made = replace(
            data,
            table=pa.table(self.columns),
            schema=Schema(fields=tuple(self.fields)),
            splits={},
            rows=data.row_numbers[rows] - 1,
            window=told,
            origin=None if data.origin is None else data.origin.with_window(told),
        )
        if not options.horizon:
            return made
        wished = data.wish[1] if data.wish[0] in ("", "forecasting") else {}
        asked = {**wished, "horizon": options.horizon, "fields": plan.targets}
        return made.with_task("forecasting", **asked)


def _assembled(data: Dataset, options: WindowOptions, plan: Plan, rows: list[Series]) -> Dataset:
    order = np.concatenate([mine for mine, _ in rows])
    begins = np.cumsum([0, *(len(mine) for mine, _ in rows[:-1])])
    first = np.concatenate([np.full(len(e), b) for b, (_, e) in zip(begins, rows, strict=True)])
    picked = first + np.concatenate([ends for _, ends in rows])
    table = Columns()
    if options.length and plan.past:
        values = matrix_of(data, plan.past, order)
        if options.horizon:
            values = np.concatenate([held(values[b : b + len(mine)]) for b, (mine, _) in
                                     zip(begins, rows, strict=True)])  # fmt: skip
        seen = _looking_back(values, picked, first, options.length)
        table.add(Field(name=PAST, kind=Kind.SERIES, reason=", ".join(plan.past)), seen)
    steps = picked[:, None] + np.arange(1, options.horizon + 1)
    if options.horizon and plan.known:
        ahead = matrix_of(data, plan.known, order)[steps]
        table.add(Field(name=AHEAD, kind=Kind.SERIES, reason=", ".join(plan.known)), ahead)
    at = order[picked + (1 if options.horizon else 0)]
    for still in plan.still:
        table.add(still, data.table[still.name].take(at))
    _add_context(data, options, plan, at, table)
    if options.horizon:
        last, places = order[picked + options.horizon], picked - first + 1
        _add_reach(data, options, plan, (last, places), table)
    target = data.schema[plan.targets[0]]
    if not options.horizon:
        table.add(target, data.table[target.name].take(at))
        return table.dataset(data, options, plan, order[picked])
    wanted = matrix_of(data, plan.targets, order)[steps]
    table.add(target.model_copy(update={"kind": Kind.SERIES}), wanted)
    whole = np.asarray(np.isfinite(wanted).all(axis=(1, 2)))
    split = data.schema.one(Role.SPLIT)
    if split is not None:
        names = np.array(data.column(split.name), object)[order][steps]
        whole &= (names == names[:, :1]).all(axis=1)
    return table.dataset(data, options, plan, order[picked]).keep(whole)


def stretches(data: Dataset) -> NDArray[np.int64] | None:
    """Return a number a window, equal within a stretch of time twice as long as what is forecast.

    Windows forecast the same rows as their neighbours, and so are no independent evidence, but
    such stretches nearly are. None where rows are no windows, or forecast one row each.
    """
    time = data.schema.one(Role.TIME)
    if data.window is None or data.window.horizon < 2 or time is None or UNTIL not in data.schema:
        return None
    begin = np.asarray(data.numpy(time.name), np.float64)
    reach = np.median(np.asarray(data.numpy(UNTIL), np.float64) - begin) if len(data) else 0.0
    whole = reach * data.window.horizon / (data.window.horizon - 1)
    if whole <= 0:
        return None
    return np.asarray((begin - begin.min()) // (2 * whole), np.int64)


def matrix_of(data: Dataset, names: tuple[str, ...], rows: NDArray[np.int64]) -> Floats:
    """Return fields that are numbers as (rows, fields)."""
    return np.stack([np.asarray(data.numpy(name), np.float64)[rows] for name in names], axis=1)


def held(values: Floats) -> Floats:
    """Return rows of one series (rows, fields) with each gap filled by the value before it."""
    known = np.where(np.isfinite(values), np.arange(len(values))[:, None], 0)
    found: Floats = np.take_along_axis(values, np.maximum.accumulate(known, axis=0), axis=0)
    return found


def _looking_back(
    matrix: Floats, ends: NDArray[np.int64], first: NDArray[np.int64], length: int
) -> Floats:
    places = ends[:, None] + np.arange(1 - length, 1)
    seen: Floats = matrix[np.maximum(places, 0)]
    seen[places < first[:, None]] = np.nan
    return seen


def _tensor(values: NDArray[np.float32]) -> Any:
    import pyarrow as pa

    array = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))
    return pa.chunked_array([array])


def _add_context(
    data: Dataset, options: WindowOptions, plan: Plan, at: NDArray[np.int64], table: Columns
) -> None:
    """Add when it is, and whose series it is."""
    if plan.time is not None:
        moments = data.table[plan.time.name].take(at)
        orders_only = plan.by is not None and not options.horizon
        role = Role.IGNORE if orders_only else Role.TIME
        table.add(plan.time.model_copy(update={"role": role}), moments)
        if options.horizon and plan.time.kind == Kind.DATETIME:
            start = Field(name=START, kind=Kind.DATETIME, reason="the first row forecast")
            table.add(start, moments)
    if plan.by is not None:
        role = Role.INPUT if options.horizon else Role.GROUP
        kind = Kind.CATEGORY if options.horizon else Kind.ID
        by = plan.by.model_copy(update={"role": role, "kind": kind})
        table.add(by, data.table[plan.by.name].take(at))


def _add_reach(
    data: Dataset,
    options: WindowOptions,
    plan: Plan,
    at: tuple[NDArray[np.int64], NDArray[np.int64]],
    table: Columns,
) -> None:
    """Add when the last row that is forecast takes place; without a time, places of both ends.

    ``at`` is the last row forecast, and the place of the first one in its series.
    """
    last, places = at
    reason = "the last row forecast: splits are this far apart"
    if plan.time is None:
        why = "which row of its series is forecast first: rows are in order of time"
        row = Field(name=ROW, kind=Kind.NUMBER, role=Role.TIME, reason=why)
        table.add(row, places.astype(np.float64))
        until: Any = places + options.horizon - 1.0
    else:
        until = data.table[plan.time.name].take(last)
    kind = Kind.NUMBER if plan.time is None else plan.time.kind
    table.add(Field(name=UNTIL, kind=kind, role=Role.IGNORE, reason=reason), until)
