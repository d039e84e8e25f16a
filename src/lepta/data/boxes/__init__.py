"""Boxes as a target: one row an image, its boxes in a list; see :mod:`lepta.data.boxes.forms`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from lepta.core.errors import DataError, SchemaError, Where
from lepta.data.boxes.forms import Box, boxes_of


def boxes_type() -> Any:
    """Return the Arrow type of a column of boxes."""
    import pyarrow as pa

    corners = [pa.field(name, pa.float64()) for name in ("x0", "y0", "x1", "y1")]
    return pa.large_list(pa.struct([*corners, pa.field("class", pa.large_string())]))


def boxes_column(rows: Sequence[list[Box] | None]) -> Any:
    """Return lists of boxes as a pyarrow.ChunkedArray."""
    import pyarrow as pa

    return pa.chunked_array([pa.array(rows, boxes_type())])


def holds_boxes(column: Any) -> bool:
    """Whether a column holds lists of mappings, as boxes are."""
    import pyarrow as pa

    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(is_list and pa.types.is_struct(kind.value_type))


def gather_boxes(table: Any, target: str | None, *, asked: bool) -> Any:
    """Return the table with the target, where it holds boxes, as a dataset holds them.

    Args:
        table: a pyarrow.Table, as it was read.
        target: name of the target; of lists of mappings, or of such lists as JSON text.
        asked: whether the target is known to hold boxes.

    Raises:
        SchemaError: it is asked for boxes, and cannot hold them.
        DataError: a box is not written as one; the row is named.
    """
    import pyarrow as pa

    if target is None or target not in table.column_names:
        return table
    column = table[target]
    empty = pa.types.is_list(column.type) and pa.types.is_null(column.type.value_type)
    if not (asked or holds_boxes(column)):
        return table
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not (holds_boxes(column) or text or empty or pa.types.is_null(column.type)):
        raise SchemaError(
            f"Values of type {column.type} hold no boxes.",
            where=Where(field=target),
            fix="Give lists of boxes, or the table of boxes with boxes='boxes.csv'.",
        )
    rows: list[list[Box] | None] = []
    for number, value in enumerate(column.to_pylist(), 1):
        where = Where(row=number, field=target)
        cell = _parsed(value, where) if isinstance(value, str) else value
        rows.append(None if cell is None else boxes_of(cell, where))
    return table.set_column(table.column_names.index(target), target, boxes_column(rows))


def _parsed(text: str, where: Where) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(
            f"This is no list of boxes in JSON: {error}",
            where=where,
            fix='Write [{"x0": 1, "y0": 2, "x1": 30, "y1": 40, "class": "car"}].',
        ) from error


def classes_in(column: Any) -> Iterable[str]:
    """Return the classes of the boxes of a column, each once."""
    return {box["class"] for boxes in column.to_pylist() for box in boxes or ()}


__all__ = ["boxes_column", "boxes_type", "classes_in", "gather_boxes", "holds_boxes"]
