"""Reading one raw value: the same rule in training and in the runtime."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime
from typing import Any

import numpy as np


def label_of(value: Any) -> str | None:
    """Return a category as text, or None when it is missing.

    A value has one label whatever typed it: 1, 1.0, "1" and "1.0" are "1"; True and "TRUE" are
    "true". Text with leading zeros is a code and stays. So "1.10" and "1.1" are one category.
    """
    if isinstance(value, str):
        return _label_of_text(value.strip())
    if value is None or is_missing(value):
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return _label_of_float(float(value))
    return str(value).strip() or None


_WHOLE = re.compile(r"[+-]?(0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _label_of_text(text: str) -> str | None:
    if text[:1] in "+-.0123456789":
        if _WHOLE.fullmatch(text):
            return str(int(text)) if text else None
        if _DECIMAL.fullmatch(text):
            return _label_of_float(float(text))
    lowered = text.lower()
    return lowered if lowered in ("true", "false") else text or None


def _label_of_float(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def is_missing(value: Any) -> bool:
    """Whether a value is a not-a-number, pandas.NA or a not-a-time."""
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")


def sequence_of(value: Any) -> list[str]:
    """Return a sequence of labels; what is missing in it is left out.

    Takes lists, arrays, and text: a JSON list, or labels with ";" between them. None is empty.

    Raises:
        ValueError: the value is no sequence of labels.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if isinstance(value, str):
        value = json.loads(value) if value.strip().startswith("[") else value.split(";")
    if value is None or is_missing(value):
        return []
    if not isinstance(value, list | tuple | np.ndarray) or np.ndim(value[:0]) != 1:
        raise ValueError(f"{type(value).__name__} is no list of labels")
    if any(isinstance(item, list | tuple | dict | np.ndarray) for item in value):
        raise ValueError("labels are text or numbers")
    return [label for item in value if (label := label_of(item)) is not None]


def number_of(value: Any) -> float:
    """Return a number, NaN when it is missing.

    Raises:
        ValueError: the value is no number.
    """
    if value is None or is_missing(value) or (isinstance(value, str) and not value.strip()):
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
    if value is None or is_missing(value):
        return math.nan
    try:
        return float(value)
    except TypeError as error:
        raise ValueError(f"{value!r} is not a point in time") from error


def _seconds_of_datetime(value: datetime | np.datetime64) -> float:
    if str(value) == "NaT":
        return math.nan
    if isinstance(value, np.datetime64):
        return float(value.astype("datetime64[us]").astype(np.int64)) / 1e6
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
