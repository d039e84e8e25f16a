"""Tables that are in memory: Arrow tables, pandas and polars frames, mappings of columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lepta.core.errors import DataError, SchemaError, Where
from lepta.core.events import Context
from lepta.data.files import Files
from lepta.data.options import ReadOptions
from lepta.data.sources import Raw, check_names

_MEMORY = "table in memory"


def _raw(table: Any) -> Raw:
    if not table.num_columns or not table.num_rows:
        raise DataError("The table holds no rows.", fix="Check how it was made.")
    return Raw(table=table, files=Files(Path.cwd(), archives=()), name=_MEMORY)


class ArrowTable:
    """A pyarrow.Table."""

    @staticmethod
    def matches(source: Any) -> bool:
        return type(source).__module__.partition(".")[0] == "pyarrow" and hasattr(
            source, "column_names"
        )

    @staticmethod
    def read(source: Any, options: ReadOptions, context: Context) -> Raw:
        import pyarrow as pa

        table = pa.Table.from_batches([source]) if isinstance(source, pa.RecordBatch) else source
        return _raw(table.rename_columns(check_names(table.column_names)))


class Frame:
    """A pandas or polars DataFrame; the index of a pandas frame is left out."""

    @staticmethod
    def matches(source: Any) -> bool:
        return type(source).__module__.partition(".")[0] in ("pandas", "polars") and hasattr(
            source, "columns"
        )

    @staticmethod
    def read(source: Any, options: ReadOptions, context: Context) -> Raw:
        import pyarrow as pa

        names = check_names([str(name) for name in source.columns])
        if hasattr(source, "to_arrow"):
            return _raw(source.to_arrow().rename_columns(names))
        arrays = [_pandas_column(source.iloc[:, i], name) for i, name in enumerate(names)]
        return _raw(pa.table(dict(zip(names, arrays, strict=True))))


def _pandas_column(series: Any, name: str) -> Any:
    import pyarrow as pa

    try:
        column = pa.Array.from_pandas(series)
    except (pa.ArrowException, TypeError, ValueError):
        column = _array(name, [None if _is_nan(value) else value for value in series.tolist()])
    return column


class Columns:
    """A mapping of names to columns: lists or NumPy arrays; (N, H, W[, C]) are images."""

    @staticmethod
    def matches(source: Any) -> bool:
        return isinstance(source, Mapping)

    @staticmethod
    def read(source: Mapping[Any, Any], options: ReadOptions, context: Context) -> Raw:
        return _raw(table_of(source))


def table_of(columns: Mapping[Any, Any]) -> Any:
    """Return a pyarrow.Table of a mapping of columns.

    Raises:
        SchemaError: columns differ in length, names are not unique, or an array does not fit.
    """
    import pyarrow as pa

    names = check_names([str(name) for name in columns])
    arrays = [_array(name, values) for name, values in zip(names, columns.values(), strict=True)]
    lengths = {name: len(array) for name, array in zip(names, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        raise SchemaError(
            "The columns differ in length: "
            + ", ".join(f"{name} has {length}" for name, length in lengths.items())
            + "."
        )
    return pa.table(dict(zip(names, arrays, strict=True)))


def _array(name: str, values: Any) -> Any:
    import pyarrow as pa

    if isinstance(values, np.ndarray) and values.ndim > 1:
        return _tensors(name, values)
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        values = values.astype(object)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _mixed(name, values)


def _mixed(name: str, values: Any) -> Any:
    """Values of several types become text, except what no text can stand for."""
    import pyarrow as pa

    plain = (str, int, float, bool, Path, np.generic)
    wrong = next((v for v in values if v is not None and not isinstance(v, plain)), None)
    if wrong is not None:
        raise SchemaError(
            f"A column cannot hold {type(wrong).__name__} values beside others.",
            where=Where(field=name),
            fix="Give numbers, text, dates, bytes, or an array (rows, height, width, channels).",
        )
    return pa.array([None if v is None or _is_nan(v) else str(v) for v in values])


def _is_nan(value: Any) -> bool:
    return value is None or str(value) in ("nan", "NaT", "<NA>")


def _tensors(name: str, values: Any) -> Any:
    import pyarrow as pa

    if values.dtype.kind not in "uif" or values.size == 0:
        raise SchemaError(
            f"An array of shape {values.shape} and type {values.dtype} is no column.",
            where=Where(field=name),
            fix="Give numbers (rows,) or images (rows, height, width, channels).",
        )
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))
