"""Rows that a stranger sent, as what the fields of a model take. Nothing here opens a file."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import InputSpec, Signature
from lepta.core.errors import InputError, Where, suggest
from lepta.core.schema import ARRAYS, MEDIA, Kind
from lepta.core.values import label_of, sequence_of

Array = NDArray[Any]
Column = Array | list[Any]
"""Values of one field: an array (rows, ...), or encoded files and arrays, one a row."""

_DATATYPES = {"float32": "FP32", "float64": "FP64", "string": "BYTES", "uint8": "UINT8"}
_DATATYPES |= {"uint16": "UINT16", "int64": "INT64"}


def rows_of(document: Any) -> list[dict[str, Any]]:
    """Return the rows of a JSON document: ``{"rows": [...]}``, a list of mappings, or one mapping.

    Raises:
        InputError: it holds none.
    """
    rows = document
    if isinstance(document, dict):
        rows = document["rows"] if isinstance(document.get("rows"), list) else [document]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(
            "Rows are objects that map fields to values.",
            fix='Send {"rows": [{"field": value, ...}, ...]}.',
        )
    return rows


def media_field(signature: Signature) -> InputSpec:
    """Return the only field that takes a file.

    Raises:
        InputError: there is none, or several.
    """
    media = [spec for spec in signature.inputs if spec.kind in MEDIA]
    if len(media) == 1:
        return media[0]
    if not media:
        raise InputError("The model takes no file.", fix="Send rows as JSON.")
    raise InputError(
        "The model takes several files.",
        fix=f"Send a form with the fields {', '.join(spec.name for spec in media)}.",
    )


def bind_rows(signature: Signature, rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Return the columns of rows of JSON values and uploaded files.

    Media values are ``bytes`` (a file), a base64 string of a file (never a path), or nested arrays;
    series are nested arrays. None stands for what is missing, where a field may be.

    Raises:
        InputError: a field is missing, unknown, or its value does not fit; row and field are named.
    """
    names = dict.fromkeys(key for row in rows for key in row)
    check_names(signature, names)
    columns: dict[str, Column] = {}
    for spec in signature.inputs:
        if spec.name not in names:
            continue
        if spec.required:
            _check_every_row(spec, rows)
        values = [row.get(spec.name) for row in rows]
        read = own_value if spec.kind in ARRAYS else _scalar
        columns[spec.name] = [read(spec, row, value) for row, value in enumerate(values)]
    return columns


def check_names(signature: Signature, names: Mapping[str, Any]) -> None:
    """Check that every required field is named and no unknown one is.

    Raises:
        InputError: else; the nearest known name is suggested.
    """
    known = {spec.name: spec.required for spec in signature.inputs}
    wrong = next((name for name in names if name not in known), None)
    if wrong is not None:
        what = f"There is no input {wrong!r}.{suggest(wrong, known)}"
        raise InputError(what, fix=_takes(signature))
    for name, required in known.items():
        if required and name not in names:
            raise InputError(f"The input {name!r} is missing.", fix=_takes(signature))


def datatype(dtype: str) -> str:
    """Return the protocol's name of a field's dtype."""
    return _DATATYPES[dtype]


def describe(spec: InputSpec) -> str:
    """Return what a field takes, in protocol terms: "age FP32 [-1]"."""
    if spec.kind not in ARRAYS:
        return f"{spec.name} {datatype(spec.dtype)} [-1]"
    array = f"{datatype(spec.dtype)} {list(spec.shape)}"
    if spec.kind in (Kind.SERIES, Kind.SEQUENCE):
        return f"{spec.name} {array}"
    what = "texts" if spec.kind == Kind.TEXT else "files"
    return f"{spec.name} BYTES [-1] ({what}) or {array}"


def _takes(signature: Signature) -> str:
    return f"The model takes: {', '.join(describe(spec) for spec in signature.inputs)}."


def _check_every_row(spec: InputSpec, rows: Sequence[Mapping[str, Any]]) -> None:
    for number, row in enumerate(rows, 1):
        if spec.name not in row:
            raise InputError(
                f"The input {spec.name!r} is missing.{suggest(spec.name, row)}",
                where=Where(row=number, field=spec.name),
                fix="Give null where a value is not known." if spec.kind not in ARRAYS else None,
            )


def _scalar(spec: InputSpec, row: int, value: Any) -> Any:
    if isinstance(value, bytes):
        value = text_value(spec.name, row, value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise InputError(
        f"One {spec.kind.value} was expected, got {type(value).__name__}.",
        where=Where(row=row + 1, field=spec.name),
        fix='Send rows as {"rows": [{"field": value, ...}, ...]}.',
    )


def own_value(spec: InputSpec, row: int, value: Any) -> Any:
    """Return a text, an array, the bytes of a file, or None where the value is missing.

    Raises:
        InputError: the value does not fit the field.
    """
    if not spec.required and (value is None or value in (b"", "")):
        return None
    if spec.kind == Kind.SEQUENCE:
        return labels_value(spec, row, value)
    if spec.kind == Kind.TEXT:
        return _scalar(spec, row, value)
    if isinstance(value, list) and value:
        return _numbers(spec, row, value)
    if spec.kind in MEDIA and isinstance(value, bytes) and value:
        return value
    if spec.kind in MEDIA and isinstance(value, str) and value:
        return _unpacked(spec, row, value)
    raise _unlike(spec, row)


def text_value(name: str, row: int, value: Any) -> str:
    """Return a text: bytes are UTF-8, numbers become labels, None is empty.

    Raises:
        InputError: the value is something else.
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                "The text is not UTF-8.", where=Where(row=row + 1, field=name)
            ) from error
    if isinstance(value, str | int | float):
        return str(value) if isinstance(value, str) else (label_of(value) or "")
    raise InputError(
        f"A text was expected, got {type(value).__name__}.", where=Where(row=row + 1, field=name)
    )


def labels_value(spec: InputSpec, row: int, value: Any) -> list[str]:
    """Return a list of labels; bytes in it are text, and empty ones are padding.

    Raises:
        InputError: the value is no list of labels.
    """
    where = Where(row=row + 1, field=spec.name)
    try:
        if isinstance(value, list):
            value = [text_value(spec.name, row, v) if isinstance(v, bytes) else v for v in value]
        return sequence_of(value)
    except ValueError as error:
        raise InputError(f"A list of labels was expected: {error}.", where=where) from error


def _unpacked(spec: InputSpec, row: int, value: str) -> bytes:
    """Return the bytes of a file; a text is base64, so that no path is ever opened."""
    text = value.partition(",")[2] if value.startswith("data:") else value
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(
            f"The text given for the {spec.kind.value} is not base64.",
            where=Where(row=row + 1, field=spec.name),
            fix="Send the content of the file, in base64; paths are not opened.",
        ) from error


def _numbers(spec: InputSpec, row: int, value: list[Any]) -> Array:
    """Return nested lists as an array; null is a gap in a series, and nowhere else allowed."""
    try:
        array = np.asarray(value)
        if array.dtype == object and spec.kind == Kind.SERIES:
            array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0, object)
    if array.dtype.kind not in "buif":
        raise _unlike(spec, row)
    return array


def _unlike(spec: InputSpec, row: int) -> InputError:
    file = "" if spec.kind == Kind.SERIES else "A file (base64) or an "
    return InputError(
        f"{file or 'An '}array of numbers was expected for the {spec.kind.value}.",
        where=Where(row=row + 1, field=spec.name),
    )
