"""Rows that stand twice, and what must not stand in two splits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.core.schema import MEDIA, Field, Kind, Role
from lepta.core.values import label_of
from lepta.data.cache import row_digests
from lepta.data.issues import Issue, some
from lepta.data.splits import codes_of

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset

Ints = NDArray[np.int64]
_MANY = 0.01
_BIG = MEDIA | {Kind.TEXT}


def content_codes(data: Dataset, context: Context) -> Ints | None:
    """Return a number per row, equal where all input fields are; None without input fields.

    Files count by content. A missing file is like no other.
    """
    codes: Ints | None = None
    for field in data.schema.inputs:
        own = _field_codes(data, field, context)
        codes = own if codes is None else _joined(codes, own)
    return codes


def _joined(one: Ints, two: Ints) -> Ints:
    pairs = one * (two.max(initial=0) + 1) + two
    return np.unique(pairs, return_inverse=True)[1].astype(np.int64)


def _field_codes(data: Dataset, field: Field, context: Context) -> Ints:
    import pyarrow as pa

    column = data.table[field.name]
    if field.kind in MEDIA or field.kind == Kind.SERIES:
        return _media_codes(data, field.name, context)
    if pa.types.is_nested(column.type):
        return np.unique([repr(v) for v in column.to_pylist()], return_inverse=True)[1]
    return codes_of(column) + 1


def _media_codes(data: Dataset, name: str, context: Context) -> Ints:
    import pyarrow as pa

    if not pa.types.is_large_string(data.table[name].type):
        digests = [digest.hex() for digest in row_digests(data, name, context)]
        return np.unique(digests, return_inverse=True)[1]
    paths = data.column(name)
    there = [path for path in paths if path is not None and data.files.exists(path)]
    known = dict(zip(there, data.files.digests(there, context), strict=True))
    return np.unique(
        [known.get(path, f"missing {row}") for row, path in enumerate(paths)], return_inverse=True
    )[1]


def duplicates(data: Dataset, context: Context) -> Iterator[Issue]:
    """Yield rows of equal content: within a split, across splits, and with different labels."""
    codes = content_codes(data, context)
    if codes is None:
        return
    sizes = np.bincount(codes)[codes]
    again = np.flatnonzero(sizes > 1)
    if not again.size:
        return
    copies = int(again.size - len(np.unique(codes[again])))
    has_files = any(field.kind in _BIG for field in data.schema.inputs)
    what = "identical files or text" if has_files else "identical inputs"
    yield Issue(
        code="duplicates",
        severity="warning" if has_files else "info",
        text=f"{copies} row(s) repeat another: {what}.",
        fix="Drop the copies, or give group= so that they stay in one split.",
        rows=some(_by_code(again, codes)),
    )
    yield from _conflicts(data, codes, again, has_files)
    yield from _across(data, codes, again, has_files)


def _by_code(rows: Ints, codes: Ints) -> Ints:
    return rows[np.argsort(codes[rows], kind="stable")]


def _conflicts(data: Dataset, codes: Ints, again: Ints, has_files: bool) -> Iterator[Issue]:
    field = data.schema.one(Role.TARGET)
    if field is None or field.kind != Kind.CATEGORY:
        return
    labels = np.array([str(label_of(value)) for value in data.column(field.name)])
    label_codes = np.unique(labels, return_inverse=True)[1]
    rows = _several(codes, label_codes, again)
    if rows.size:
        yield Issue(
            code="conflicting_labels",
            severity="warning" if has_files else "info",
            text=f"{rows.size} row(s) have the same inputs as another but a different "
            f"{field.name!r}.",
            where=field.name,
            fix="Find out which label is right.",
            rows=some(_by_code(rows, codes)),
        )


def _several(codes: Ints, other: Ints, rows: Ints) -> Ints:
    """Return those of ``rows`` whose code goes with more than one value of ``other``."""
    pairs = np.unique(np.stack([codes[rows], other[rows]]), axis=1)
    values, counts = np.unique(pairs[0], return_counts=True)
    return rows[np.isin(codes[rows], values[counts > 1])]


def _across(data: Dataset, codes: Ints, again: Ints, has_files: bool) -> Iterator[Issue]:
    parts = split_codes(data)
    if parts is None:
        return
    rows = _several(codes, parts, again[parts[again] >= 0])
    what = "files or text" if has_files else "inputs"
    if rows.size:
        yield Issue(
            code="duplicates_across_splits",
            severity="warning" if has_files or rows.size > _MANY * len(data) else "info",
            text=f"{rows.size} row(s) with identical {what} stand in "
            "more than one split: what is measured there is partly known from training.",
            fix="Drop the copies, or split by a group that keeps them together.",
            rows=some(_by_code(rows, codes)),
        )


def split_codes(data: Dataset) -> Ints | None:
    """Return the number of each row's split, -1 for rows in none; None without splits."""
    if not data.splits:
        return None
    parts = np.full(len(data), -1, np.int64)
    for number, rows in enumerate(data.splits.values()):
        parts[rows] = number
    return parts


def groups_across(data: Dataset) -> Iterator[Issue]:
    """Yield an error when a group (a patient) stands in more than one split."""
    field, parts = data.schema.one(Role.GROUP), split_codes(data)
    if field is None or parts is None:
        return
    groups = codes_of(data.table[field.name])
    rows = _several(groups, parts, np.flatnonzero((parts >= 0) & (groups >= 0)))
    if not rows.size:
        return
    values: list[Any] = data.table[field.name].take(rows).unique().to_pylist()
    yield Issue(
        code="group_across_splits",
        severity="error",
        text=f"{len(values)} value(s) of {field.name!r} stand in more than one split, such as "
        f"{values[0]!r} in {_where(data, field.name, values[0])}.",
        where=field.name,
        fix="Split by group: leave the split column out, or mend it.",
        rows=some(_by_code(rows, groups)),
    )


def _where(data: Dataset, name: str, value: Any) -> str:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = data.table[name]
    mine = pc.equal(column, pa.scalar(value, column.type))
    mask = pc.fill_null(mine, False).to_numpy()
    names = [split for split, rows in data.splits.items() if mask[rows].any()]
    return " and ".join(names)
