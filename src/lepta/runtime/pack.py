"""Turn columns of values into the tensors a graph takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import InputSpec, Signature
from lepta.core.errors import DataError, InputError, Where
from lepta.core.schema import ARRAYS, Kind
from lepta.core.values import label_of, number_of, seconds_of

Array = NDArray[Any]


def reader_of(spec: InputSpec) -> Callable[[Any], Any]:
    """Return what reads one plain value of a field; it raises ValueError where one is no such."""
    if spec.dtype == "string":
        return _text
    return seconds_of if spec.kind == Kind.DATETIME else number_of


def _text(value: Any) -> str:
    return label_of(value) or ""


def to_array(spec: InputSpec, values: Sequence[Any] | Array, first_row: int = 0) -> Array:
    """Return plain (not media) values as the array that ``spec`` asks for.

    Missing numbers become NaN, missing strings "".

    Raises:
        InputError: a value does not convert; its row (counted from 1) and field are named.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub" and spec.dtype != "string":
        return values.astype(spec.dtype, copy=False)
    reader = reader_of(spec)
    if spec.dtype == "string":
        return np.array([reader(value) for value in values], dtype=object)
    out = np.empty(len(values), spec.dtype)
    for row, value in enumerate(values):
        try:
            out[row] = reader(value)
        except ValueError as error:
            what = "a point in time" if spec.kind == Kind.DATETIME else "a number"
            raise InputError(
                f"{value!r} is not {what}.",
                where=Where(row=first_row + row + 1, field=spec.name),
                fix="Leave the value empty where it is not known.",
            ) from error
    return out


def missing_column(spec: InputSpec, count: int) -> Array:
    """Return ``count`` missing values of an optional field."""
    if spec.dtype == "string":
        return np.full(count, "", dtype=object)
    return np.full(count, np.nan, spec.dtype)


def load_media(spec: InputSpec, value: Any, row: int) -> tuple[bytes | Array, Where]:
    """Return a media value as the bytes of a file or as an array, and its place for messages.

    Args:
        spec: the field.
        value: a path, bytes, an array, or a function that gives one of them.
        row: its row, counted from 0.

    Raises:
        DataError: the file cannot be read.
        InputError: the value is something else.
    """
    loaded = value() if callable(value) else value
    where = Where(row=row + 1, field=spec.name)
    if isinstance(loaded, str | Path):
        where = Where(file=str(loaded), row=row + 1, field=spec.name)
        try:
            return Path(loaded).read_bytes(), where
        except OSError as error:
            raise DataError(
                f"The file cannot be read: {error.strerror or error}.",
                where=where,
                fix="Paths are taken from the folder you are in; check the path.",
            ) from error
    if isinstance(loaded, bytes | bytearray | memoryview):
        return bytes(loaded), where
    if isinstance(loaded, np.ndarray):
        return loaded, where
    raise InputError(f"{type(loaded).__name__} is not a path, bytes or an array.", where=where)


def fit_media(spec: InputSpec, value: Array, where: Where) -> Array:
    """Return one decoded value in the layout and dtype of ``spec``, which is without rows here.

    Images are (height, width, channels), volumes (depth, height, width, channels), sounds
    (samples,).

    Raises:
        InputError: the array has another number of channels, or its values do not fit.
    """
    array = value[..., None] if value.ndim == len(spec.shape) - 2 else value
    wanted = spec.shape[1:]
    if array.ndim != len(wanted) or any(
        size not in (-1, got) for size, got in zip(wanted, array.shape, strict=True)
    ):
        raise InputError(
            f"An array of shape {value.shape} does not fit; expected {_shape_text(wanted)}.",
            where=where,
        )
    if 0 in array.shape:
        raise InputError(f"The {spec.kind.value} is empty.", where=where)
    return _cast(array if spec.required else _unlike_absent(spec, array), spec.dtype, where)


def _unlike_absent(spec: InputSpec, array: Array) -> Array:
    """Return an array whose free axes are all 1, as those of a missing value, twice as long."""
    free = [axis for axis, size in enumerate(spec.shape[1:]) if size == -1]
    if not free or any(array.shape[axis] > 1 for axis in free):
        return array
    return np.repeat(array, 2, axis=free[-1])


def _cast(array: Array, name: str, where: Where) -> Array:
    dtype = np.dtype(name)
    if array.dtype == dtype:
        return array
    if (array.dtype, dtype) == (np.dtype("uint8"), np.dtype("uint16")):
        return array.astype(dtype) * 257
    if np.can_cast(array.dtype, dtype) or dtype.kind == "f":
        return array.astype(dtype)
    cast = array.astype(dtype)
    if not np.array_equal(cast, array):
        raise InputError(
            f"Values of type {array.dtype} do not fit the model's {dtype}.",
            where=where,
            fix=f"Give an array of {dtype}, or the file itself.",
        )
    return cast


def _shape_text(shape: tuple[int, ...]) -> str:
    names = {
        1: ("samples",),
        3: ("height", "width", "channels"),
        4: ("depth", "height", "width", "channels"),
    }
    labels = names.get(len(shape), ("any",) * len(shape))
    parts = [name if size == -1 else str(size) for name, size in zip(labels, shape, strict=True)]
    return f"({', '.join(parts)})"


def pack(signature: Signature, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Pack per-field arrays into the graph's tensors.

    Several plain fields share one tensor (rows, fields); media, texts and series have their own.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    tensors: dict[str, Array] = {}
    for tensor in signature.tensors:
        if len(tensor.fields) == 1 and specs[tensor.fields[0]].kind in ARRAYS:
            tensors[tensor.name] = columns[tensor.fields[0]]
            continue
        dtype = object if tensor.dtype == "string" else np.dtype(tensor.dtype)
        first = columns[tensor.fields[0]]
        if len(tensor.shape) == 1:
            tensors[tensor.name] = first.astype(dtype, copy=False).reshape(-1)
            continue
        packed = np.empty((len(first), len(tensor.fields)), dtype)
        for position, name in enumerate(tensor.fields):
            packed[:, position] = columns[name].reshape(-1)
        tensors[tensor.name] = packed
    return tensors
