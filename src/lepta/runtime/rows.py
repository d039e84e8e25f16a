"""Bring whatever a caller has (a row, rows, columns, a table, files) into columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lepta.bundle.manifest import InputSpec, Signature
from lepta.core.errors import InputError, Where, suggest
from lepta.core.schema import ARRAYS, MEDIA, Kind

Columns = dict[str, Sequence[Any]]
Loader = Callable[[], bytes | np.ndarray[Any, Any]]
"""A media value that is read only when its row is decoded."""


def to_columns(rows: Any, signature: Signature) -> tuple[Columns, int]:
    """Return the input columns and the number of rows.

    Columns that the signature does not know are left out; required ones must be there.

    Raises:
        InputError: nothing recognisable was given, a field is missing, or lengths differ.
    """
    columns = _columns(rows, signature)
    for spec in signature.inputs:
        if spec.name not in columns and spec.required:
            near = suggest(spec.name, columns)
            raise InputError(
                f"The input {spec.name!r} ({spec.kind.value}) is missing.{near}",
                where=Where(field=spec.name),
                fix=f"The model takes: {', '.join(s.name for s in signature.inputs)}.",
            )
    known = {spec.name: columns[spec.name] for spec in signature.inputs if spec.name in columns}
    lengths = {name: len(values) for name, values in known.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(
            "The input columns differ in length: "
            + ", ".join(f"{name} has {count}" for name, count in lengths.items())
            + ".",
            fix="Give every field the same number of rows.",
        )
    return known, next(iter(lengths.values()), 0)


def _columns(rows: Any, signature: Signature) -> Mapping[str, Sequence[Any]]:
    if isinstance(rows, Mapping):
        return _from_mapping(rows, signature)
    names = getattr(rows, "column_names", None)
    if names is not None:  # pyarrow
        return {str(name): _plain(rows[name]) for name in names}
    names = getattr(rows, "columns", None)
    if names is not None and not callable(names):  # pandas, polars
        return {str(name): _plain(rows[name]) for name in names}
    if isinstance(rows, list | tuple) and rows and all(isinstance(r, Mapping) for r in rows):
        keys = dict.fromkeys(key for row in rows for key in row)
        return {str(key): [row.get(key) for row in rows] for key in keys}
    return _single_field(rows, signature)


def _plain(column: Any) -> Sequence[Any]:
    for method in ("to_pylist", "tolist", "to_list"):
        if hasattr(column, method):
            values: Sequence[Any] = getattr(column, method)()
            return values
    return list(column)


def _from_mapping(rows: Mapping[Any, Any], signature: Signature) -> Mapping[str, Sequence[Any]]:
    rows = {key: _column(value) for key, value in rows.items()}
    specs = {spec.name: spec for spec in signature.inputs}
    known = [(specs[key], value) for key, value in rows.items() if key in specs]
    if known and any(_is_one(spec, value) for spec, value in known):
        return {str(key): [value] for key, value in rows.items()}
    return {str(key): value for key, value in rows.items()}


def _column(value: Any) -> Any:
    """Return a column of a table library as a list; anything else as it is."""
    named = type(value).__module__.split(".")[0] in ("pandas", "polars", "pyarrow")
    return _plain(value) if named and hasattr(value, "__len__") else value


def _is_one(spec: InputSpec, value: Any) -> bool:
    """Whether ``value`` is one value of the field, not a column of them."""
    if spec.kind == Kind.SEQUENCE and isinstance(value, list | tuple | np.ndarray):
        return len(value) == 0 or _holds_labels(value)
    if isinstance(value, np.ndarray):
        return _is_one_array(spec, value)
    if spec.kind == Kind.SERIES and isinstance(value, list | tuple):
        return any(item is not None for item in value) and _is_one_array(spec, value)
    return not isinstance(value, Sequence) or isinstance(value, str | bytes)


def _holds_labels(values: Any) -> bool:
    """Whether these are labels, not sequences of them."""
    nested = any(isinstance(item, list | tuple | np.ndarray) for item in values)
    return not nested and any(item is not None for item in values)


def _is_one_array(spec: InputSpec, value: Any) -> bool:
    """The same of an array, or of the nested lists of a series."""
    axes, last = _axes(value)
    if spec.kind not in ARRAYS or (isinstance(value, np.ndarray) and value.dtype.kind in "OUS"):
        return axes == 0
    one = len(spec.shape) - 1
    if spec.shape[-1] == 1 and axes == one:
        return last == 1  # (height, width, 1), not (rows, height, width)
    return axes <= one


def _axes(value: Any) -> tuple[int, int]:
    """Return how deep arrays or lists nest, and the length of the innermost; gaps left out."""
    if isinstance(value, np.ndarray):
        return value.ndim, value.shape[-1] if value.ndim else 0
    if not isinstance(value, list | tuple):
        return 0, 0
    inner = [_axes(item) for item in value[:1000] if item is not None]
    deepest = max(inner, default=(0, 0))
    return deepest[0] + 1, deepest[1] if deepest[0] else len(value)


def _single_field(rows: Any, signature: Signature) -> Mapping[str, Sequence[Any]]:
    if isinstance(rows, list | tuple) and not rows:
        return {spec.name: [] for spec in signature.inputs}
    chosen = [spec for spec in signature.inputs if spec.required]
    if len(signature.inputs) == 1:
        chosen = list(signature.inputs)
    if len(chosen) != 1:
        raise InputError(
            f"The model takes {len(signature.inputs)} inputs; {type(rows).__name__} does not name "
            "them.",
            fix="Give a mapping of field names to values, a list of mappings, or a table.",
        )
    spec = chosen[0]
    whole = isinstance(rows, np.ndarray | list | tuple)
    if isinstance(rows, str | bytes | Path) or (whole and _is_one(spec, rows)):
        return {spec.name: [rows]}
    if not isinstance(rows, Iterable):
        if spec.kind in MEDIA:
            raise InputError(f"{type(rows).__name__} is not a path, bytes or an array.")
        return {spec.name: [rows]}
    return {spec.name: list(rows)}
