"""Checks of columns and of the target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lepta.core.schema import MEDIA, Field, Kind, Role
from lepta.core.values import label_of
from lepta.data.access import may_lack
from lepta.data.issues import Issue, some
from lepta.data.labels import holds_labels, labels_in
from lepta.data.typos import near_labels

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset

RARE = 5
"""Rows below which a class is too rare to learn and to measure."""
_IMBALANCE = 0.05
_OFTEN_MISSING = 0.5


def columns(data: Dataset) -> Iterator[Issue]:
    """Yield what is odd about single columns: gaps, constants, endless numbers."""
    for field in data.schema:
        yield from _missing(data, field)
        if field.reason.startswith("constant"):
            yield Issue(
                code="constant",
                severity="info",
                text=f"{field.name!r} is {field.reason}; it is ignored.",
                where=field.name,
            )
        if field.kind == Kind.NUMBER and field.role in (Role.INPUT, Role.WEIGHT):
            yield from _infinite(data, field)


def _missing(data: Dataset, field: Field) -> Iterator[Issue]:
    column = data.table[field.name]
    values = np.zeros(len(column), bool) if not column.null_count else ~column.is_valid().to_numpy()
    if field.kind == Kind.NUMBER:
        values |= np.isnan(data.numpy(field.name))
    count = int(values.sum())
    if not count or field.role in (Role.TARGET, Role.IGNORE):
        return
    share = count / len(column)
    yield Issue(
        code="missing",
        severity="warning" if share > _OFTEN_MISSING or field.kind in MEDIA else "info",
        text=f"{field.name!r} is missing in {count} row(s) ({share:.0%}).",
        where=field.name,
        fix="Fill in the paths, or drop the rows."
        if field.kind in MEDIA and not may_lack(data.schema, field.name)
        else "Learners fill gaps in; drop the column if nearly all is missing.",
        rows=some(np.flatnonzero(values)),
    )


def _infinite(data: Dataset, field: Field) -> Iterator[Issue]:
    rows = np.flatnonzero(np.isinf(data.numpy(field.name)))
    if rows.size:
        yield Issue(
            code="infinite",
            severity="warning",
            text=f"{field.name!r} is infinite in {rows.size} row(s).",
            where=field.name,
            fix="Leave values that are not known empty.",
            rows=some(rows),
        )
    if field.role == Role.WEIGHT:
        rows = np.flatnonzero(~(data.numpy(field.name) >= 0))
        if rows.size:
            yield Issue(
                code="bad_weight",
                severity="error",
                text=f"The weight {field.name!r} is negative or missing in {rows.size} row(s).",
                where=field.name,
                fix="Give weights of 0 or more.",
                rows=some(rows),
            )


def target(data: Dataset) -> Iterator[Issue]:
    """Yield what is wrong with the target: gaps, one class, rare and misspelt classes."""
    field = data.schema.one(Role.TARGET)
    if field is None:
        return
    rows = missing_targets(data)
    if rows.size:
        yield Issue(
            code="target_missing",
            severity="error",
            text=f"The target {field.name!r} is missing in {rows.size} row(s).",
            where=field.name,
            fix="Fill the values in, or drop the rows.",
            rows=some(rows),
        )
    if field.kind in (Kind.CATEGORY, Kind.BOXES):
        yield from _classes(data, field)


def missing_targets(data: Dataset) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the positions of the rows whose target is missing, or is no finite number."""
    field = data.schema.one(Role.TARGET)
    if field is None:
        return np.empty(0, np.int64)
    if field.kind == Kind.NUMBER:
        return np.flatnonzero(~np.isfinite(data.numpy(field.name)))
    if field.kind in (Kind.MASK, Kind.BOXES):
        return np.flatnonzero(~data.table[field.name].is_valid().to_numpy())
    gaps = [label_of(value) is None for value in data.column(field.name)]
    return np.flatnonzero(np.array(gaps, bool))


def _classes(data: Dataset, field: Field) -> Iterator[Issue]:
    rows = [set(labels_in(value)) for value in data.column(field.name)]
    counts = Counter(label for labels in rows for label in labels)
    one_label = field.kind == Kind.CATEGORY and not holds_labels(data.table[field.name])
    if len(counts) < 2 and one_label:
        known = f"only the class {next(iter(counts))!r}" if counts else "no value"
        yield Issue(
            code="single_class",
            severity="error",
            text=f"The target {field.name!r} has {known}; there is nothing to tell apart.",
            where=field.name,
            fix="Add rows of another class, or name another target.",
        )
        return
    likely = near_labels(counts)
    for label, other in likely.items():
        yield Issue(
            code="label_typo",
            severity="warning",
            text=f"{label!r} ({_rows(counts[label])}): did you mean {other!r}?",
            where=field.name,
            fix=f"Write {other!r} if so.",
            rows=some([row for row, found in enumerate(rows) if label in found]),
        )
    rare = [label for label in counts if counts[label] < RARE and label not in likely]
    if rare:
        yield Issue(
            code="rare_class",
            severity="warning",
            text=f"{len(rare)} class(es) of {field.name!r} have fewer than {RARE} rows: "
            + ", ".join(f"{label!r} ({counts[label]})" for label in rare[:10])
            + ".",
            where=field.name,
            fix="Add rows, or merge the classes; little can be learned or measured on so few.",
            rows=some([row for row, found in enumerate(rows) if found & set(rare)]),
        )
    if field.kind == Kind.CATEGORY:
        yield from _imbalance(field, counts)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _imbalance(field: Field, counts: Counter[str]) -> Iterator[Issue]:
    total = sum(counts.values())
    if not total:
        return
    label, least = min(counts.items(), key=lambda item: item[1])
    if len(counts) == 2 and RARE <= least < _IMBALANCE * total:
        yield Issue(
            code="imbalance",
            severity="warning",
            text=f"Only {least / total:.1%} of the rows are {label!r}; accuracy says little here.",
            where=field.name,
            fix="Look at average precision and at recall; class weights are used in training.",
        )


def spelling(data: Dataset) -> Iterator[Issue]:
    """Yield categories among the inputs that differ only by case, spaces or a letter."""
    for field in data.schema.inputs:
        if field.kind != Kind.CATEGORY or len(field.classes) < 2:
            continue
        found = Counter(label_of(value) for value in data.column(field.name))
        counts = Counter({label: n for label, n in found.items() if label is not None})
        for label, other in near_labels(counts).items():
            yield Issue(
                code="category_typo",
                severity="info",
                text=f"In {field.name!r}, {label!r} ({_rows(counts[label])}): did you mean "
                f"{other!r}?",
                where=field.name,
                fix=f"Write {other!r} if so.",
            )
