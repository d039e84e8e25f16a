"""Sources: what a dataset can be read from.

A source is a class registered under ``lepta.sources`` (built in, or by entry point) with two
static methods, ``matches`` and ``read``; see :class:`Source`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lepta.core.errors import DataError, SchemaError, Where, missing_extra, suggest
from lepta.core.events import Context
from lepta.core.registry import Registry
from lepta.core.schema import Kind
from lepta.data.files import Files
from lepta.data.issues import Issue
from lepta.data.options import ReadOptions

_BUILTIN = {
    "arrow": "lepta.data.sources.columnar:ArrowFile",
    "coco": "lepta.data.sources.coco:Coco",
    "columns": "lepta.data.sources.memory:Columns",
    "csv": "lepta.data.sources.delimited:Delimited",
    "dicom_folder": "lepta.data.sources.folders:DicomFolder",
    "frame": "lepta.data.sources.memory:Frame",
    "image_files": "lepta.data.sources.folders:ImageFiles",
    "image_folder": "lepta.data.sources.folders:ImageFolder",
    "jsonl": "lepta.data.sources.columnar:JsonLines",
    "parquet": "lepta.data.sources.columnar:Parquet",
    "table": "lepta.data.sources.memory:ArrowTable",
}
SOURCES = Registry("lepta.sources", "source", _BUILTIN)


@dataclass(frozen=True)
class Raw:
    """What a source gives: a table as it was found.

    Attributes:
        table: a pyarrow.Table with unique column names.
        files: where the files that it refers to are.
        name: a short name for people.
        is_text: whether values were read as text (CSV), so that numbers are still to be parsed.
        target: name of the target column, where the source knows it.
        kinds: kinds that the source knows.
        issues: what was noticed while reading.
    """

    table: Any
    files: Files
    name: str
    is_text: bool = False
    target: str | None = None
    kinds: dict[str, Kind] = field(default_factory=dict)
    issues: tuple[Issue, ...] = ()


class Source(Protocol):
    """The contract of a source."""

    @staticmethod
    def matches(source: Any) -> bool:
        """Whether this source reads ``source``; cheap, and False for whatever is not its own."""

    @staticmethod
    def read(source: Any, options: ReadOptions, context: Context) -> Raw:
        """Read ``source``.

        Raises:
            DataError: it cannot be read; file and row are named.
            SchemaError: column names are not unique.
        """


def read_source(source: Any, options: ReadOptions, context: Context) -> Raw:
    """Read ``source`` with the first registered source that takes it.

    Raises:
        DataError: nothing takes it, or it cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra("pyarrow", "data", "Reading data") from error
    if isinstance(source, Path | str):
        source = existing(source)
    name = options.format
    if name is None and options.boxes is not None and SOURCES.get("image_files").holds(source):
        name = "image_files"  # what folders are called is no class then
    return _choose(source, name).read(source, options, context)


def existing(source: Path | str) -> Path | str:
    """Return a path that is there; an address as it is.

    Raises:
        DataError: there is no such file or folder; a near name is suggested.
    """
    if "://" in str(source):
        return source
    path = Path(source).expanduser()
    if not path.exists():
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(
            f"There is no file or folder {str(path)!r}.{suggest(path.name, names)}",
            where=Where(file=str(path)),
            fix=f"You are in {Path.cwd()}; check the path.",
        )
    return path


def _choose(source: Any, name: str | None) -> type[Source]:
    if name is not None:
        chosen: type[Source] = SOURCES.get(name)
        return chosen
    for known in sorted(SOURCES.names(), key=lambda name: (name not in _BUILTIN, name)):
        chosen = SOURCES.get(known)
        if chosen.matches(source):
            return chosen
    raise DataError(
        f"Lepta cannot tell how to read {_describe(source)}.",
        where=Where(file=str(source)) if isinstance(source, Path | str) else None,
        fix="Give a CSV, TSV, Parquet, JSON lines, COCO JSON or Arrow file, a folder of images or "
        "of class-named folders of them, a folder of DICOM files, or a table in memory; or name it "
        "with format=.",
    )


def _describe(source: Any) -> str:
    return repr(str(source)) if isinstance(source, Path | str) else type(source).__name__


def check_names(names: list[str], where: Where | None = None) -> list[str]:
    """Return column names, blank ones replaced by "column_N".

    Raises:
        SchemaError: a name stands more than once.
    """
    clean = [str(name).strip() or f"column_{number}" for number, name in enumerate(names, 1)]
    twice = sorted({name for name in clean if clean.count(name) > 1})
    if twice:
        columns = [str(number) for number, name in enumerate(clean, 1) if name == twice[0]]
        raise SchemaError(
            f"Column names must be unique; {', '.join(map(repr, twice))} stands more than once "
            f"(columns {', '.join(columns)}).",
            where=Where(file=where.file if where else None, field=twice[0]),
            fix="Rename or drop one of the columns.",
        )
    return clean
