"""CSV and its relatives: delimiter and encoding found, quoted newlines, ragged rows refused."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path
from typing import Any

from lepta.core.errors import DataError, Where
from lepta.core.events import Context
from lepta.data.files import Files
from lepta.data.issues import Issue
from lepta.data.options import ReadOptions
from lepta.data.sources import Raw, check_names

SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".psv")
_DELIMITERS = (",", ";", "\t", "|")
_SNIFFED = 64 * 1024
_NAMED = 5


class Delimited:
    """Text files of rows: .csv, .tsv, .txt."""

    @staticmethod
    def matches(source: Any) -> bool:
        return isinstance(source, Path) and source.suffix.lower() in SUFFIXES and source.is_file()

    @staticmethod
    def read(source: Path, options: ReadOptions, context: Context) -> Raw:
        where = Where(file=str(source))
        text, issues = _decode(source, where)
        delimiter = _delimiter(text[:_SNIFFED])
        header = _header(text, delimiter, where)
        table = _parse(text, delimiter, check_names(header, where), where)
        issues += _blank_names(header)
        return Raw(
            table=table,
            files=Files(source.parent),
            name=source.name,
            is_text=True,
            issues=tuple(issues),
        )


def _decode(path: Path, where: Where) -> tuple[str, list[Issue]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"The file cannot be read: {error.strerror}.", where=where) from error
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace"), []
    if b"\0" in data:
        raise DataError(
            "This is not a text file: it holds zero bytes.",
            where=where,
            fix="Check that the file is what its name says.",
        )
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n")
        issue = Issue(
            code="encoding",
            severity="warning",
            text=f"{path.name} is not UTF-8 (byte {error.start}); it was read as Latin-1, so "
            "accented letters may be wrong.",
            fix="Save the file as UTF-8.",
            rows=(max(row, 1),),
        )
        return data.decode("latin-1"), [issue]


def _delimiter(head: str) -> str:
    """Return the delimiter that splits most of the first records into equally many fields."""
    return max(_DELIMITERS, key=lambda delimiter: _agreement(head, delimiter))


def _agreement(head: str, delimiter: str) -> tuple[float, int]:
    try:
        records = [r for r in csv.reader(io.StringIO(head), delimiter=delimiter) if r][:50]
    except csv.Error:
        return (0.0, 0)
    if not records or len(records[0]) < 2:
        return (0.0, 0)
    width = len(records[0])
    return (sum(len(record) == width for record in records) / len(records), width)


def _header(text: str, delimiter: str, where: Where) -> list[str]:
    header = next((r for r in csv.reader(io.StringIO(text), delimiter=delimiter) if r), None)
    if header is None:
        raise DataError("The file is empty.", where=where, fix="Check how it was written.")
    return header


def _blank_names(header: list[str]) -> list[Issue]:
    blank = [number for number, name in enumerate(header, 1) if not name.strip()]
    if not blank:
        return []
    return [
        Issue(
            code="blank_name",
            severity="warning",
            text=f"Column {', '.join(map(str, blank))} has no name; it is called "
            f"'column_{blank[0]}'{' and so on' if len(blank) > 1 else ''}.",
            where=f"column_{blank[0]}",
            fix="Write a name in the header.",
        )
    ]


def _parse(text: str, delimiter: str, names: list[str], where: Where) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    ragged: list[Any] = []

    def note(row: Any) -> str:
        ragged.append(row)
        return "skip"

    try:
        table = arrow_csv.read_csv(
            io.BytesIO(text.lstrip("\r\n").encode()),
            read_options=arrow_csv.ReadOptions(
                column_names=names, skip_rows_after_names=1, use_threads=False, block_size=1 << 24
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                invalid_row_handler=note,
                ignore_empty_lines=len(names) > 1,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.large_string() for name in names}, check_utf8=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(
            f"The file cannot be parsed: {error}", where=where, fix="Check quotes and delimiters."
        ) from error
    if ragged:
        raise _ragged(ragged, len(names), where)
    if not table.num_rows:
        raise DataError("The file holds a header and no rows.", where=where)
    return table


def _ragged(rows: list[Any], width: int, where: Where) -> DataError:
    first = rows[0]
    named = ", ".join(str(row.number - 1) for row in rows[:_NAMED])
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return DataError(
        f"{len(rows)} row(s) do not have {width} fields as the header has: row {named}{more}; "
        f"row {first.number - 1} has {first.actual_columns}.",
        where=Where(file=where.file, row=first.number - 1),
        fix="Quote fields that contain the delimiter, or mend the rows.",
    )
