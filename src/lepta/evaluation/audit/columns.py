"""Metadata that stands in the table: columns about the files, gaps, the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lepta.core.schema import MEDIA, Field, Kind, Role
from lepta.core.values import label_of
from lepta.data import Dataset
from lepta.data.names import MEDIA_SUFFIXES, describes_file, words
from lepta.evaluation.audit.sources import Floats, Source, absence, category, number

_SIZE_WORDS = {"width", "height", "rows", "cols", "columns", "w", "h", "size", "depth", "shape",
               "resolution", "aspect", "bytes", "filesize"}  # fmt: skip
_TYPE_WORDS = {"format", "ext", "extension", "mode", "mime", "mimetype", "type", "compression",
               "channels", "bits", "name", "filename"}  # fmt: skip
_ACROSS = {"width": "height", "w": "h", "cols": "rows", "columns": "rows"}
ROW_ORDER = "row order"
_SILENT = {Role.TARGET, Role.SPLIT, Role.TIME, Role.WEIGHT}


def column_sources(data: Dataset) -> Iterator[Source | None]:
    """Yield the sources that the columns of ``data`` hold, None for those that tell nothing."""
    described = [field for field in data.schema if _describes(data, field)]
    for field in described:
        yield from _described(data, field)
    yield from _pairs(data, [field.name for field in described])
    for field in data.schema:
        yield _gaps(data, field)
    yield number(ROW_ORDER, "order", data.row_numbers.astype(np.float64))


def is_pathlike(values: list[Any]) -> bool:
    """Whether most values are names of media files."""
    present = [value for value in values if isinstance(value, str) and value]
    named = sum(value.lower().endswith(MEDIA_SUFFIXES) for value in present)
    return bool(present) and named > 0.5 * len(present)


def paths_of(data: Dataset) -> dict[str, list[str | None]]:
    """Return the columns whose values are paths or names of files."""
    found: dict[str, list[str | None]] = {}
    for field in data.schema:
        if field.role in _SILENT or field.kind not in MEDIA | {Kind.ID}:
            continue
        values = data.column(field.name)
        if not any(isinstance(value, str) for value in values[:100]):
            continue
        if field.kind in MEDIA or is_pathlike(values):
            found[field.name] = [v if isinstance(v, str) else None for v in values]
    return found


def _describes(data: Dataset, field: Field) -> bool:
    if field.role in _SILENT | {Role.GROUP} or field.kind in MEDIA | {Kind.TEXT, Kind.SERIES}:
        return False
    if "describes the file" in field.reason:
        return True
    has_media = any(f.kind in MEDIA and f.role == Role.INPUT for f in data.schema)
    others = {name.lower() for name in data.schema.names}
    return has_media and describes_file(field.name, others)


def _described(data: Dataset, field: Field) -> Iterator[Source | None]:
    values = data.column(field.name)
    found = set(words(field.name))
    if field.kind == Kind.NUMBER:
        yield number(field.name, _family(found), data.numpy(field.name).astype(np.float64))
    elif not is_pathlike(values):
        yield category(field.name, _family(found), values)


def _family(found: set[str]) -> str:
    if found & _SIZE_WORDS:
        return "original_size"
    return "original_type" if found & _TYPE_WORDS else "described"


def _pairs(data: Dataset, names: list[str]) -> Iterator[Source | None]:
    """Yield aspect and area of every width that has a height."""
    lowered = {name.lower(): name for name in names}
    for name in names:
        for across, up in _ACROSS.items():
            twin = lowered.get(name.lower().replace(across, up))
            parts = words(name)
            if across not in parts or twin is None or twin == name:
                continue
            width, height = _floats(data, name), _floats(data, twin)
            with np.errstate(divide="ignore", invalid="ignore"):
                yield number(f"{name} / {twin}", "original_size", width / height)
            yield number(f"{name} x {twin}", "original_size", width * height)


def _floats(data: Dataset, name: str) -> Floats:
    values = data.numpy(name)
    return values.astype(np.float64) if values.dtype != object else np.full(len(values), np.nan)


def _gaps(data: Dataset, field: Field) -> Source | None:
    if field.role in _SILENT:
        return None
    column = data.table[field.name]
    if not column.null_count and field.kind not in (Kind.CATEGORY, Kind.ID, Kind.NUMBER):
        return None
    if field.kind == Kind.NUMBER:
        missing = np.isnan(_floats(data, field.name))
    elif column.null_count:
        missing = np.asarray(column.is_null().to_numpy(), bool)
    else:
        missing = np.array([label_of(value) is None for value in data.column(field.name)], bool)
    return absence(field.name, "gaps" if field.role == Role.INPUT else "absence", missing)
