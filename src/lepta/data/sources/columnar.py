"""Parquet, Arrow and JSON lines files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lepta.core.errors import DataError, Where
from lepta.core.events import Context
from lepta.data.files import Files
from lepta.data.options import ReadOptions
from lepta.data.sources import Raw, check_names


def _has_suffix(source: Any, *suffixes: str) -> bool:
    return isinstance(source, Path) and source.suffix.lower() in suffixes and source.is_file()


def _raw(table: Any, source: Path) -> Raw:
    where = Where(file=str(source))
    table = table.rename_columns(check_names(table.column_names, where))
    if not table.num_columns or not table.num_rows:
        raise DataError("The file holds no rows.", where=where)
    return Raw(table=table, files=Files(source.parent), name=source.name)


def _unreadable(source: Path, form: str, error: Exception) -> DataError:
    return DataError(
        f"This is not a readable {form} file: {error}",
        where=Where(file=str(source)),
        fix="Check that it was written to the end.",
    )


class Parquet:
    """.parquet files."""

    @staticmethod
    def matches(source: Any) -> bool:
        return _has_suffix(source, ".parquet", ".pq")

    @staticmethod
    def read(source: Path, options: ReadOptions, context: Context) -> Raw:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(source) as file:
                table = file.read()
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(source, "Parquet", error) from error
        return _raw(table, source)


class ArrowFile:
    """Arrow IPC files and streams, Feather files."""

    @staticmethod
    def matches(source: Any) -> bool:
        return _has_suffix(source, ".arrow", ".feather", ".ipc")

    @staticmethod
    def read(source: Path, options: ReadOptions, context: Context) -> Raw:
        import pyarrow as pa
        from pyarrow import ipc

        try:
            data = pa.py_buffer(source.read_bytes())
            is_file = data.to_pybytes()[:6] == b"ARROW1"
            table = (ipc.open_file if is_file else ipc.open_stream)(data).read_all()
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(source, "Arrow", error) from error
        return _raw(table, source)


class JsonLines:
    """JSON lines (one object a line) and JSON arrays of objects."""

    @staticmethod
    def matches(source: Any) -> bool:
        return _has_suffix(source, ".jsonl", ".ndjson", ".json")

    @staticmethod
    def read(source: Path, options: ReadOptions, context: Context) -> Raw:
        import pyarrow as pa

        from lepta.data.sources.memory import table_of

        rows = _rows(source)
        keys = dict.fromkeys(key for row in rows for key in row)
        columns = {key: [row.get(key) for row in rows] for key in keys}
        try:
            return _raw(table_of(columns), source)
        except pa.ArrowException as error:
            raise _unreadable(source, "JSON", error) from error


def _rows(source: Path) -> list[dict[str, Any]]:
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(source, "JSON", error) from error
    if text.lstrip().startswith("["):
        return [
            _object(row, source, number) for number, row in enumerate(_load(text, source, 1), 1)
        ]
    lines = [line for line in text.splitlines() if line.strip()]
    return [_object(_load(line, source, row), source, row) for row, line in enumerate(lines, 1)]


def _load(text: str, source: Path, row: int) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except ValueError as error:
        raise DataError(
            f"This is not JSON: {error}",
            where=Where(file=str(source), row=row),
            fix="Mend the row.",
        ) from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands more than once in an object")
    return document


def _object(row: Any, source: Path, number: int) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(
            "A row must be a JSON object of names and values.",
            where=Where(file=str(source), row=number),
        )
    return row
