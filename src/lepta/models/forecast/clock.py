"""The calendar of a forecast: the step between rows, and cycles that were seen to come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lepta.core.schema import Kind, Role
from lepta.data.windows import START, UNTIL
from lepta.models.front import Front, TableFront

if TYPE_CHECKING:
    from lepta.data import Dataset

DAY = 86400.0
CYCLES = (DAY, 7 * DAY, 365.2425 * DAY)
"""Seconds of the cycles of which the table has sine, cosine and part."""
_OFTEN = 1.2
"""Times that a cycle must have been seen to be read: else it is a trend that goes on nowhere."""


@dataclass(frozen=True)
class Clock:
    """The calendar of some rows.

    Attributes:
        step: seconds from row to row; None where rows have no date and time.
        cycles: places in :data:`CYCLES` of those that rows tell apart and that were seen.
    """

    step: float | None
    cycles: tuple[int, ...]

    @classmethod
    def of(cls, data: Dataset, horizon: int) -> Clock:
        """Return the calendar of windows."""
        time = data.schema.one(Role.TIME)
        step = step_of(data, horizon)
        if step is None or time is None:
            return cls(None, ())
        moments = np.asarray(data.numpy(time.name), np.float64)
        span = float(moments.max() - moments.min())
        seen = [
            place
            for place, cycle in enumerate(CYCLES)
            if 2 * step <= cycle and span >= _OFTEN * cycle
        ]
        return cls(step, tuple(seen))

    def unsteady(self, front: Front) -> list[int]:
        """Return the columns of the table that were not seen to come back: trend, rare cycles."""
        first = clock_place(front)
        if first is None:
            return []
        rare = [cycle for cycle in range(len(CYCLES)) if cycle not in self.cycles]
        return [first, *(first + 1 + 3 * cycle + part for cycle in rare for part in range(3))]


def clock_place(front: Front) -> int | None:
    """Return the first of the table's columns of the forecast's date and time, None without."""
    table = front.table
    if table is None or [field.name for field in table.times] != [START]:
        return None
    return table_width(table)


def table_width(table: TableFront) -> int:
    """Return how many columns of a dense table are before those of date and time."""
    return len(table.numbers) + len(table.flagged) + sum(len(w) + 1 for w in table.vocabulary)


def step_of(data: Dataset, horizon: int) -> float | None:
    """Return the seconds from row to row; None where rows have no date and time."""
    time = data.schema.one(Role.TIME)
    if time is None or time.kind != Kind.DATETIME or UNTIL not in data.schema or not len(data):
        return None
    begin = np.asarray(data.numpy(time.name), np.float64)
    if horizon > 1:
        reach = np.asarray(data.numpy(UNTIL), np.float64) - begin
        step = float(np.median(reach)) / (horizon - 1)
    else:
        gaps = np.diff(np.unique(begin))
        step = float(np.median(gaps)) if gaps.size else 0.0
    return step if step > 0 else None
