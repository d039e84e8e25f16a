"""Bring the columns of any source into few types: numbers, text, points in time, media.

Canonical types: int64, float64 (float32 is kept), bool, large_string, timestamp[us] (UTC),
large_binary, fixed-shape tensors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from lepta.data.issues import Issue, listed, some
from lepta.data.names import names_time

MISSING = ("", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "?", "None", "-")
"""Text that stands for a missing value."""
SURE_MISSING = ("", "NA", "N/A", "n/a", "nan", "NaN", "NAN", "null", "NULL", "?")
"""The same in a target, where "None" and "-" may well be classes."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(inf|Inf|infinity|Infinity)$"
_INTEGER = r"^[+-]?(0|[1-9]\d{0,17})$"
_CODE = r"^0\d+$"
_COMMA = r"^[+-]?\d+(,\d+)?$"
_NEARLY = 0.9


@dataclass(frozen=True)
class Cleaned:
    """A column in a canonical type, and what had to be done for it."""

    column: Any
    issues: tuple[Issue, ...] = ()
    reason: str = ""
    form: str = ""


def clean_column(
    name: str,
    column: Any,
    *,
    is_text: bool,
    is_target: bool,
    is_label: bool = False,
    form: str = "",
) -> Cleaned:
    """Return a column in its canonical type.

    Args:
        name: its name.
        column: a pyarrow.ChunkedArray.
        is_text: whether its source has no types, so that text may stand for anything.
        is_target: whether it is to be predicted, so that less counts as missing.
        is_label: whether it is known to hold labels, so that text stays text.
        form: form of its dates, where it is known.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_null(kind):
        return Cleaned(column.cast(pa.large_string()))
    if isinstance(kind, pa.FixedShapeTensorType):
        return Cleaned(column)
    if _is_string(kind):
        text = column.cast(pa.large_string())
        parsers = () if is_label else (_numbers, partial(_times, form=form))
        return _clean_text(name, text, is_text, is_target, parsers)
    if _is_binary(kind):
        return Cleaned(column.cast(pa.large_binary()))
    return Cleaned(_typed(column, kind))


def _is_string(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in (*tests, pa.types.is_binary_view))


def _typed(column: Any, kind: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    if types.is_integer(kind):
        return column.cast(pa.float64() if types.is_uint64(kind) else pa.int64(), safe=False)
    if types.is_floating(kind) or types.is_decimal(kind):
        wide = column if types.is_float32(kind) else column.cast(pa.float64(), safe=False)
        return _without_nan(wide)
    if types.is_timestamp(kind) or types.is_date(kind):
        return column.cast(pa.timestamp("us", kind.tz if types.is_timestamp(kind) else None),
                           safe=False).cast(pa.timestamp("us"))  # fmt: skip
    if types.is_time(kind) or types.is_duration(kind):
        unit = pa.duration("us") if types.is_duration(kind) else pa.time64("us")
        return pc.divide(column.cast(unit, safe=False).cast(pa.int64()).cast(pa.float64()), 1e6)
    return column


def _without_nan(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    gaps = pc.is_nan(column)
    if pc.any(gaps).as_py() is not True:
        return column
    return pc.if_else(gaps, pa.scalar(None, column.type), column)


def _clean_text(
    name: str,
    column: Any,
    is_text: bool,
    is_target: bool,
    parsers: tuple[Callable[[str, Any], Cleaned | None], ...],
) -> Cleaned:
    import pyarrow.compute as pc

    stripped = pc.utf8_trim_whitespace(column)
    gaps = _matches(stripped, MISSING)
    without = pc.if_else(gaps, None, stripped)
    for parse in parsers:
        parsed = parse(name, without)
        if parsed is not None:
            told = (*_told(name, stripped, gaps), *parsed.issues)
            return replace(parsed, issues=told)
    if is_text or is_target:
        gaps = _matches(stripped, SURE_MISSING if is_target else MISSING)
        kept = pc.if_else(gaps, None, stripped)
        issues = (*_told(name, stripped, gaps), *_nearly_numbers(name, kept))
        return Cleaned(kept, issues)
    gaps = _matches(stripped, ("",))
    return Cleaned(pc.if_else(gaps, None, column), _nearly_numbers(name, without))


def _matches(column: Any, tokens: tuple[str, ...]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.is_in(column, value_set=pa.array(tokens, column.type))


def _told(name: str, column: Any, gaps: Any) -> tuple[Issue, ...]:
    """Report words (not empty cells) that were taken as missing."""
    import pyarrow.compute as pc

    words = pc.and_(gaps, pc.not_equal(column, ""))
    found = column.filter(words)
    if not len(found):
        return ()
    rows = pc.indices_nonzero(pc.fill_null(words, False)).to_numpy()
    return (
        Issue(
            code="missing_words",
            severity="info",
            text=f"{listed(found.unique().to_pylist())} was taken as missing in {len(found)} "
            f"row(s) of {name!r}.",
            where=name,
            fix="Leave the cells empty, or write another word if it means something.",
            rows=some(rows),
        ),
    )


def _all_match(column: Any, pattern: str) -> bool:
    import pyarrow.compute as pc

    return pc.all(pc.match_substring_regex(column, pattern)).as_py() is True


def _any_match(column: Any, pattern: str) -> bool:
    import pyarrow.compute as pc

    return pc.any(pc.match_substring_regex(column, pattern)).as_py() is True


def _numbers(name: str, column: Any) -> Cleaned | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    del name
    if _all_match(column, _NUMBER):
        if _any_match(column, _CODE):
            return Cleaned(column, reason="digits with leading zeros are codes")
        kind = pa.int64() if _all_match(column, _INTEGER) else pa.float64()
        return Cleaned(pc.replace_substring_regex(column, r"^\+", "").cast(kind))
    if _all_match(column, _COMMA) and _any_match(column, ","):
        points = pc.replace_substring(column, ",", ".").cast(pa.float64())
        return Cleaned(points, reason="numbers with a decimal comma")
    return None


def _nearly_numbers(name: str, column: Any) -> tuple[Issue, ...]:
    """Report the few values that keep a column from being numbers."""
    import pyarrow.compute as pc

    fits = pc.match_substring_regex(column, _NUMBER)
    share = pc.mean(fits.cast("float64")).as_py()
    if share is None or share < _NEARLY or share == 1.0:
        return ()
    wrong = pc.indices_nonzero(pc.fill_null(pc.invert(fits), False)).to_numpy()
    values = column.take(wrong).unique().to_pylist()
    return (
        Issue(
            code="mixed_types",
            severity="warning",
            text=f"{name!r} would be numbers but for {len(wrong)} value(s): {listed(values)}.",
            where=name,
            fix="Mend the values or leave the cells empty.",
            rows=some(wrong),
        ),
    )


_ISO = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|[+-]\d{2}:?\d{2})?)?$"
_CLOCK = r"( \d{1,2}:\d{2}(:\d{2})?)?$"
_FORMS = (
    (r"^\d{4}/\d{1,2}/\d{1,2}" + _CLOCK, "%Y/%m/%d"),
    (r"^\d{1,2}\.\d{1,2}\.\d{4}" + _CLOCK, "%d.%m.%Y"),
    (r"^(0?[1-9]|[12]\d|3[01])/(0?[1-9]|1[0-2])/\d{4}" + _CLOCK, "%d/%m/%Y"),
    (r"^(0?[1-9]|1[0-2])/(0?[1-9]|[12]\d|3[01])/\d{4}" + _CLOCK, "%m/%d/%Y"),
)


def _times(name: str, column: Any, form: str = "") -> Cleaned | None:
    if _all_match(column, _ISO):
        return _parse_times(column, None)
    if form:
        return _parse_times(column, form)
    for pattern, known in _FORMS:
        if _all_match(column, pattern):
            parsed = _parse_times(column, known)
            if parsed is not None and known == "%d/%m/%Y" and _all_match(column, _FORMS[3][0]):
                return replace(parsed, issues=_ambiguous(name))
            return parsed
    return None


def _ambiguous(name: str) -> tuple[Issue, ...]:
    return (
        Issue(
            code="ambiguous_date",
            severity="warning",
            text=f"The dates of {name!r} may be day/month or month/day; the day was taken first.",
            where=name,
            fix="Write dates as YYYY-MM-DD.",
        ),
    )


def _parse_times(column: Any, form: str | None) -> Cleaned | None:
    import pyarrow as pa

    codes = column.combine_chunks().dictionary_encode()
    try:
        values = [_moment(text, form) for text in codes.dictionary.to_pylist()]
    except ValueError:
        return None
    moments = pa.array(values, pa.timestamp("us")).take(codes.indices)
    return Cleaned(pa.chunked_array([moments]), reason="dates as text", form=form or "")


def _moment(text: str, form: str | None) -> datetime:
    if form is None:
        value = datetime.fromisoformat(text.replace(",", ".").replace(" Z", "Z"))
    else:
        clock = "" if "%H" in form else ("", " %H:%M", " %H:%M:%S")[min(text.count(":"), 2)]
        value = datetime.strptime(text, form + clock)
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def compact_dates(name: str, column: Any, *, certain: bool = False) -> Any | None:
    """Return whole numbers such as 20260131 as points in time.

    Unless they are ``certain`` to be dates, their name must tell so.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (certain or names_time(name)) or not pa.types.is_int64(column.type):
        return None
    text = column.cast(pa.large_string())
    if not _all_match(text, r"^(19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])$"):
        return None
    iso = pc.replace_substring_regex(text, r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3")
    parsed = _parse_times(iso, None)
    return parsed.column if parsed else None


def looks_textual(values: list[str]) -> bool:
    """Whether strings are sentences rather than names: 2.5 words or more on average."""
    counts = [len(re.findall(r"\S+", value)) for value in values]
    return bool(counts) and sum(counts) / len(counts) >= 2.5
