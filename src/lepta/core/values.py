"""Reading one raw value: the same rule in training and in the runtime."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import numpy as np


def label_of(value: Any) -> str | None:
    """Return a category as text, or None when it is missing.

    Whole floats read as integers (1.0 and 1 are both "1"), booleans as "true" and "false".
    """
    if isinstance(value, str):
        return value.strip() or None
    if value is None:
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        if math.isnan(value):
            return None
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value).strip() or None


def number_of(value: Any) -> float:
    """Return a number, NaN when it is missing.

    Raises:
        ValueError: the value is no number.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    if isinstance(value, datetime | date):
        raise ValueError(f"{value!r} is not a number")
    try:
        return float(value)
    except TypeError as error:
        raise ValueError(f"{value!r} is not a number") from error


def seconds_of(value: Any) -> float:
    """Return seconds since 1970-01-01 UTC, NaN when missing.

    Takes date-times (naive ones are UTC), dates, numpy.datetime64, ISO 8601 text, or seconds.

    Raises:
        ValueError: the value is no point in time.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip()) if value.strip() else None
    if isinstance(value, datetime | np.datetime64):
        return _seconds_of_datetime(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    return math.nan if value is None else float(value)


def _seconds_of_datetime(value: datetime | np.datetime64) -> float:
    if str(value) == "NaT":
        return math.nan
    if isinstance(value, np.datetime64):
        return float(value.astype("datetime64[us]").astype(np.int64)) / 1e6
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
