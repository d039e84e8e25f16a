"""Validation: all that is worth knowing before a fit, and what stops one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from lepta.core.errors import DataError, LeptaError, Where
from lepta.core.events import Context
from lepta.core.schema import MEDIA, Kind, Role
from lepta.core.values import label_of
from lepta.data import access, checks
from lepta.data.boxes.checks import outside
from lepta.data.duplicates import duplicates, groups_across
from lepta.data.files import FIX
from lepta.data.issues import SHOWN, Issue, some
from lepta.data.labels import holds_labels
from lepta.data.leaks import leaks
from lepta.data.splits import require_groups
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset

_ORDER = {"error": 0, "warning": 1, "info": 2}
DECODED = 500
"""Files of each field that are decoded to see whether they can be."""


def validate(
    data: Dataset, context: Context | None = None, *, decode: int | None = DECODED
) -> list[Issue]:
    """Return everything found wrong or worth knowing, errors first.

    Args:
        data: the dataset.
        context: progress and threads.
        decode: how many files of each field to decode, spread over the rows; None for all.
    """
    context = context or Context()
    issues = [*data.notes]
    for found in (
        checks.columns(data),
        checks.target(data),
        checks.spelling(data),
        _splits(data),
        _groups(data),
        _files(data, decode, context),
        outside(data, decode, context),
        duplicates(data, context),
        leaks(data),
    ):
        issues.extend(found)
    return sorted(issues, key=lambda issue: _ORDER[issue.severity])


def _splits(data: Dataset) -> Iterator[Issue]:
    """Yield splits in which a classification has one class only."""
    field = data.schema.one(Role.TARGET)
    if field is None or field.kind != Kind.CATEGORY or len(field.classes) < 2:
        return
    if holds_labels(data.table[field.name]):
        return
    labels = np.array([label_of(value) or "" for value in data.column(field.name)])
    lax = _one_sided(data)
    for name, rows in data.splits.items():
        found = sorted(set(labels[rows].tolist()) - {""})
        if len(rows) and len(found) < (1 if name in lax else 2):
            yield Issue(
                code="single_class_split",
                severity="error",
                text=f"The split {name!r} ({len(rows)} rows) has "
                + (f"only the class {found[0]!r}" if found else "no labelled row")
                + f" of {field.name!r}; nothing can be learned or measured there.",
                where=field.name,
                fix="Split anew, stratified (leave the split column out), or mend it.",
                rows=some(rows),
            )


def _one_sided(data: Dataset) -> tuple[str, ...]:
    """Return the splits that may hold one class only; none, where there is no task to ask."""
    task = _task(data)
    return () if task is None else task.one_sided


def _task(data: Dataset) -> Task | None:
    try:
        return data.task
    except LeptaError:
        return None


def _groups(data: Dataset) -> Iterator[Issue]:
    task = _task(data)
    if task is None or not task.follows_groups:
        yield from groups_across(data)


def _files(data: Dataset, decode: int | None, context: Context) -> Iterator[Issue]:
    for name in data.media():
        missing = access.missing_files(data, name)
        if missing:
            place = access.where(data, name, missing[0])
            yield Issue(
                code="missing_files",
                severity="error",
                text=f"{len(missing)} of {len(data)} files of {name!r} are missing"
                + (f", such as {place.file!r}." if place.file else "."),
                where=name,
                fix=FIX,
                rows=some(missing),
            )
        if name in data.decoders:
            yield from _unreadable(data, name, set(missing), decode, context)


def _unreadable(
    data: Dataset, name: str, missing: set[int], decode: int | None, context: Context
) -> Iterator[Issue]:
    there = np.array([row for row in range(len(data)) if row not in missing], np.int64)
    limit = len(there) if decode is None else min(decode, len(there))
    rows = there[np.unique(np.linspace(0, len(there) - 1, limit).astype(np.int64))][:limit]
    decoder = access.decoder_of(data, name, data.decoders.get(name))

    def reason(row: int) -> str:
        try:
            decoder(row)
        except LeptaError as error:
            return error.what
        return ""

    with ThreadPoolExecutor(context.threads or os.cpu_count() or 1) as pool:
        reasons = list(context.track(pool.map(reason, rows), f"Checking {name}", len(rows)))
    bad = [(int(row), why) for row, why in zip(rows, reasons, strict=True) if why]
    if bad:
        named = "; ".join(f"{data.location(name, row) or row + 1}: {why}" for row, why in bad[:3])
        yield Issue(
            code="unreadable",
            severity="error",
            text=f"{len(bad)} of {len(rows)} files of {name!r} that were tried cannot be decoded: "
            f"{named}",
            where=name,
            fix="Replace the files, or drop their rows.",
            rows=some([row for row, _ in bad]),
        )


def require_trainable(data: Dataset, *, drop_missing: bool = False) -> Dataset:
    """Return ``data`` when a fit may start, without the rows that lack a target if so asked.

    Args:
        data: the dataset, with its splits if it has them.
        drop_missing: drop rows whose target is missing, instead of refusing them.

    Raises:
        SchemaError: there is no target, no task predicts it, or it needs groups and none is given.
        DataError: a target is missing, there is one class, a split has one class, a group stands
            in two splits, a weight is negative, files are missing, or no input field is left.
    """
    if data.task.by_group:
        require_groups(data)
    rows = checks.missing_targets(data)
    if rows.size and drop_missing:
        keep = np.ones(len(data), bool)
        keep[rows] = False
        data = data.keep(keep)
    elif rows.size:
        raise _missing_target(data, rows)
    if not data.schema.inputs:
        raise DataError(
            "There is no input field: " + "; ".join(f"{f.name}: {f.reason}" for f in data.schema),
            fix="Give a field the role 'input' with roles=.",
        )
    for found in (checks.target(data), _splits(data), _groups(data), checks.columns(data)):
        for issue in found:
            if issue.severity == "error":
                raise _error(data, issue)
    for name in data.media():
        if data.schema[name].kind in MEDIA:
            access.require_files(data, name)
    return data


def _missing_target(data: Dataset, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> DataError:
    numbers = data.row_numbers[rows]
    named = ", ".join(map(str, numbers[:SHOWN]))
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return DataError(
        f"The target {data.target!r} is missing in {len(rows)} row(s): {named}{more}.",
        where=Where(row=int(numbers[0]), field=data.target),
        fix="Fill the values in, or drop the rows (drop_missing=True).",
    )


def _error(data: Dataset, issue: Issue) -> DataError:
    row = int(data.row_numbers[issue.rows[0] - 1]) if issue.rows else None
    return DataError(issue.text, where=Where(row=row, field=issue.where or None), fix=issue.fix)
