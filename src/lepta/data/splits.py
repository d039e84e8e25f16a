"""Splits and folds: given, by time, by group, stratified, random."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import DataError, SchemaError, Where
from lepta.core.schema import Field, Kind, Role
from lepta.core.values import label_of
from lepta.data import assign
from lepta.data.issues import listed
from lepta.data.labels import holds_labels, labels_in
from lepta.data.names import split_name
from lepta.data.windows import UNTIL

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset

Ints = NDArray[np.int64]
NAMES = ("train", "valid", "test")
_BINS = 10


def given_splits(data: Dataset) -> dict[str, Ints]:
    """Return the splits that a column with the role split tells.

    Raises:
        DataError: it holds something that is no name of a split; the row is named.
    """
    field = data.schema.one(Role.SPLIT)
    if field is None:
        return {}
    values = data.column(field.name)
    known = [None if value is None else split_name(str(value)) for value in values]
    wrong = [row for row, name in enumerate(known) if name is None]
    if wrong:
        raise DataError(
            f"{len(wrong)} row(s) of {field.name!r} name no split: "
            f"{listed(sorted({str(values[row]) for row in wrong}))}.",
            where=Where(row=int(data.row_numbers[wrong[0]]), field=field.name),
            fix="Write train, valid (or val, validation, dev) or test.",
        )
    return {
        name: np.array([r for r, found in enumerate(known) if found == name], np.int64)
        for name in NAMES
        if name in known
    }


def split(data: Dataset, *, valid: float = 0.2, test: float = 0.2, seed: int = 0) -> Dataset:
    """Return ``data`` with the splits train, valid and test.

    Splits that a column gives are kept, and what it lacks is taken from its train rows. Else rows
    are split by time when there is a time field, by group when there is a group field, and always
    stratified: by class, or by quantiles of a number. A split of share 0 is left out.

    Args:
        data: the rows.
        valid: share of the rows to choose models by.
        test: share of the rows to measure on.
        seed: of the randomness; the same seed gives the same splits.

    Raises:
        DataError: shares do not leave rows to train on, there are fewer rows, groups or times than
            splits, or a given column has no train rows.
    """
    if min(valid, test) < 0 or valid + test >= 1:
        raise DataError(
            f"Shares of {valid} (valid) and {test} (test) leave nothing to train on.",
            fix="Give shares of 0 or more that sum to less than 1.",
        )
    given = given_splits(data) or _unfinished(data)
    if given:
        return data.with_splits(_completed(data, given, valid, test, seed))
    shares = np.array([1.0 - valid - test, valid, test])
    _require_rows(len(data), int((shares > 0).sum()))
    parts = _parts(data, shares, np.random.default_rng(seed))
    return data.with_splits(_apart(data, _named(parts, shares)))


def _unfinished(data: Dataset) -> dict[str, Ints]:
    """Return splits that the caller named without naming all: rows held out must stay so."""
    named = {name: rows for name, rows in data.splits.items() if name in NAMES}
    return {} if {"train", "valid", "test"} <= named.keys() else named


def _named(parts: Ints, shares: NDArray[np.float64]) -> dict[str, Ints]:
    return {
        name: np.flatnonzero(parts == part) for part, name in enumerate(NAMES) if shares[part] > 0
    }


def _apart(data: Dataset, splits: dict[str, Ints]) -> dict[str, Ints]:
    """Return splits without the rows whose forecast reaches into what a later split begins with."""
    kept = dict(splits)
    for name, later in pairwise(splits):
        kept[name] = _before(data, splits[name], splits[later])
    return kept


def _before(data: Dataset, rows: Ints, later: Ints) -> Ints:
    """Return those of ``rows`` that forecast nothing of the time in which ``later`` rows begin."""
    moments = _moments(data)
    if data.window is None or not data.window.horizon or moments is None or not len(later):
        return rows
    until = np.asarray(data.numpy(UNTIL), np.float64)
    kept: Ints = rows[until[rows] < moments[later].min()]
    return kept


def _completed(
    data: Dataset, given: dict[str, Ints], valid: float, test: float, seed: int
) -> dict[str, Ints]:
    if "train" not in given:
        field = data.schema.one(Role.SPLIT)
        raise DataError(
            f"The split column has no train rows, only {', '.join(given)}.",
            where=Where(field=field.name if field else None),
            fix="Name some rows train, or give the column the role 'ignore'.",
        )
    lacking = [0.0 if "valid" in given else valid, 0.0 if "test" in given else test]
    shares = np.array([0.0, *lacking])
    shares[0] = 1.0 - shares.sum()
    train = data.take(given["train"])
    _require_rows(len(train), int((shares > 0).sum()))
    parts = _parts(train, shares, np.random.default_rng(seed))
    found = _apart(train, _named(parts, shares))
    carved = {name: given["train"][rows] for name, rows in found.items()}
    whole = {**given, **carved}
    return {name: whole[name] for name in NAMES if name in whole}


def _require_rows(rows: int, parts: int) -> None:
    if rows < parts:
        raise DataError(
            f"{rows} row(s) cannot be spread over {parts} splits.", fix="Add rows, or split less."
        )


def _parts(data: Dataset, shares: NDArray[np.float64], rng: np.random.Generator) -> Ints:
    if (shares > 0).sum() == 1:
        return np.zeros(len(data), np.int64)
    moments, groups, strata = _moments(data), group_codes(data), strata_of(data)
    if moments is not None:
        return assign.in_order(moments, groups, shares)
    if groups is not None:
        return assign.grouped(strata, groups, shares, rng)
    parts = assign.stratified(strata, shares, rng)
    return assign.keep_strata_in_train(parts, strata, rng) if _is_classes(data) else parts


def hash_of(rows: Ints) -> str:
    """Return a hash of row positions, in their order."""
    return hashlib.sha256(np.ascontiguousarray(rows, "<i8").tobytes()).hexdigest()[:16]


def folds(data: Dataset, k: int = 5, seed: int = 0) -> Iterator[tuple[Ints, Ints]]:
    """Yield ``k`` pairs of row positions (train, test) for cross-validation.

    With a time field, each test is the stretch after its train, and no train row forecasts into
    it; else every row is in one test.
    No group stands on both sides; classes, or quantiles of a number, are spread evenly.

    Raises:
        DataError: ``k`` is less than 2, or more than there are rows, groups or times.
    """
    if k < 2:
        raise DataError("Cross-validation needs at least 2 folds.", fix="Give k=5.")
    _require_rows(len(data), k)
    moments, groups, strata = _moments(data), group_codes(data), strata_of(data)
    rng = np.random.default_rng(seed)
    if moments is not None:
        blocks = assign.in_order(moments, groups, np.full(k + 1, 1.0 / (k + 1)))
        for block in range(1, k + 1):
            test = np.flatnonzero(blocks == block)
            yield _before(data, np.flatnonzero(blocks < block), test), test
        return
    shares = np.full(k, 1.0 / k)
    parts = (
        assign.stratified(strata, shares, rng)
        if groups is None
        else assign.grouped(strata, groups, shares, rng)
    )
    for part in range(k):
        yield np.flatnonzero(parts != part), np.flatnonzero(parts == part)


def _moments(data: Dataset) -> NDArray[np.float64] | None:
    field = data.schema.one(Role.TIME)
    return None if field is None else np.asarray(data.numpy(field.name), np.float64)


def group_codes(data: Dataset) -> Ints | None:
    """Return a number per row, equal within a group; a row without a group is one of its own."""
    field = data.schema.one(Role.GROUP)
    return None if field is None else codes_of(data.table[field.name], alone=True)


def require_groups(data: Dataset) -> Ints:
    """Return :func:`group_codes` of data whose task needs groups.

    Raises:
        SchemaError: no field has that role.
    """
    codes = group_codes(data)
    if codes is None:
        raise SchemaError(
            "Ranking needs to know which rows belong to one query.",
            fix="Name the field that says so with group=.",
        )
    return codes


def codes_of(column: Any, *, alone: bool = False) -> Ints:
    """Return a number per row, equal where values are; missing ones share -1, or stand alone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_nested(column.type):
        column = pa.chunked_array([pa.array([repr(value) for value in column.to_pylist()])])
    encoded = column.combine_chunks().dictionary_encode()
    codes = np.asarray(pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False), np.int64)
    if alone:
        gaps = np.flatnonzero(codes < 0)
        codes[gaps] = len(encoded.dictionary) + np.arange(len(gaps))
    return codes


def _is_classes(data: Dataset) -> bool:
    target = data.schema.one(Role.TARGET)
    return target is not None and target.kind == Kind.CATEGORY


def strata_of(data: Dataset) -> Ints:
    """Return the class of each row, or the quantile bin of a number; zeros without a target."""
    target = data.schema.one(Role.TARGET)
    if target is None:
        return np.zeros(len(data), np.int64)
    if target.kind == Kind.NUMBER:
        return assign.bins(np.asarray(data.numpy(target.name), np.float64), _BINS)
    return _classes(data, target)


def _rarest(rows: list[list[str]]) -> Ints:
    """Return a number for the rarest label of each row, as rare ones must reach every split."""
    counts = Counter(label for row in rows for label in row)
    rank = {label: code for code, (label, _) in enumerate(counts.most_common())}
    return np.array([max((rank[label] for label in row), default=-1) for row in rows])


def _classes(data: Dataset, target: Field) -> Ints:
    if holds_labels(data.table[target.name]) or target.kind == Kind.BOXES:
        return _rarest([labels_in(value) for value in data.column(target.name)])
    codes = {label: code for code, label in enumerate(target.classes)}
    labels = [label_of(value) for value in data.column(target.name)]
    return np.array([codes.get(label, len(codes)) if label is not None else len(codes)
                     for label in labels], np.int64)  # fmt: skip
