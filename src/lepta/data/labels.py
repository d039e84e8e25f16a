"""Lists of labels: targets with several labels a row, and sequences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lepta.core.errors import DataError, SchemaError, Where
from lepta.core.values import label_of, sequence_of

MULTILABEL = "multilabel"
SEPARATORS = (";", "|", ",")
"""Tried in this order where none is given; the first that occurs is taken."""
_TRUE = {"1", "true", "yes", "y", "t"}
_FALSE = {"0", "false", "no", "n", "f"}


def gather_labels(table: Any, target: str | None, separator: str = "") -> Any:
    """Return the table with the target as one column of lists of labels.

    Args:
        table: a pyarrow.Table, as it was read.
        target: name of a column of lists or of text ("a;b"; an empty text has no label), or the
            names of several columns of 0 and 1, with commas between: these become one column,
            called as ``target`` is, whose labels are their names.
        separator: what stands between the labels of a text; found where not given.

    Raises:
        SchemaError: the column holds neither lists nor text.
        DataError: one of several columns holds something other than 0 and 1.
    """
    import pyarrow as pa

    if target is None:
        return table
    names = [name.strip() for name in target.split(",")]
    if target not in table.column_names:
        if len(names) < 2 or not set(names) <= set(table.column_names):
            return table  # the column that is missing is named later
        column = _flags(table, names)
        return table.drop_columns(names).append_column(target, column)
    column = table[target]
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        rows = column.to_pylist()
    elif pa.types.is_dictionary(kind) or _is_text(kind):
        rows = _split(column.to_pylist(), separator)
    else:
        raise SchemaError(
            f"Values of type {kind} hold no labels.",
            where=Where(field=target),
            fix="Name a column of lists or of text such as 'a;b', or several columns of 0 and 1 "
            "as target='a,b,c'.",
        )
    return table.set_column(table.column_names.index(target), target, _lists(rows))


def sequences(name: str, column: Any) -> Any:
    """Return a column of sequences of labels: lists, or text such as '["a", "b"]' or "a;b".

    Raises:
        DataError: a value is neither; its row is named.
    """
    rows: list[list[str]] = []
    for row, value in enumerate(column.to_pylist()):
        try:
            rows.append(sequence_of(value))
        except ValueError as error:
            raise DataError(
                f"{value!r} is no list of labels.",
                where=Where(row=row + 1, field=name),
                fix='Write a list such as ["a", "b"], or a;b, the latest last.',
            ) from error
    return _lists(rows)


def separator_in(table: Any, target: str | None) -> str:
    """Return what stands between the labels of a text; empty where there are no texts."""
    return _found(table[target].to_pylist()) if target in table.column_names else ""


def _found(texts: list[Any]) -> str:
    written = [text for text in texts if isinstance(text, str)]
    return next((mark for mark in SEPARATORS if any(mark in text for text in written)), "")


def _split(texts: list[str | None], separator: str) -> list[list[str]]:
    separator = separator or _found(texts)
    return [(text or "").split(separator) if separator else [text or ""] for text in texts]


def _flags(table: Any, names: list[str]) -> Any:
    rows: list[list[str]] = [[] for _ in range(table.num_rows)]
    for name in names:
        for row, value in enumerate(table[name].to_pylist()):
            label = label_of(value)
            if label is None or label.casefold() not in _TRUE | _FALSE:
                raise DataError(
                    f"{value!r} does not say whether the label {name!r} holds.",
                    where=Where(row=row + 1, field=name),
                    fix="Write 0 or 1.",
                )
            if label.casefold() in _TRUE:
                rows[row].append(name)
    return _lists(rows)


def _lists(rows: Iterable[Iterable[Any] | None]) -> Any:
    import pyarrow as pa

    cleaned = [
        None if row is None else [label for item in row if (label := label_of(item)) is not None]
        for row in rows
    ]
    return pa.chunked_array([pa.array(cleaned, pa.large_list(pa.large_string()))])


def holds_labels(column: Any) -> bool:
    """Whether a column holds lists of labels."""
    import pyarrow as pa

    return bool(pa.types.is_large_list(column.type) and _is_text(column.type.value_type))


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def labels_in(value: Any) -> list[str]:
    """Return the labels of one value: those of a list, of its boxes, or the one that it is."""
    if isinstance(value, list):
        return [str(item["class"] if isinstance(item, dict) else item) for item in value]
    label = label_of(value)
    return [] if label is None else [label]
