"""Tensors that a client sent, as what the fields of a model take. Nothing here opens a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lepta.bundle.manifest import InputSpec, Signature, TensorSpec
from lepta.core.errors import InputError, Where
from lepta.core.schema import ARRAYS, Kind
from lepta.runtime.pack import to_array
from lepta.runtime.received import (
    Array,
    Column,
    check_names,
    datatype,
    labels_value,
    own_value,
    text_value,
)


def bind_tensors(
    signature: Signature, inputs: Mapping[str, Array]
) -> tuple[dict[str, Column], int]:
    """Return the columns that protocol tensors, one a field, hold, and the number of rows.

    Raises:
        InputError: an input is missing, unknown, or of the wrong shape or datatype.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    check_names(signature, inputs)
    columns: dict[str, Column] = {}
    for name, array in inputs.items():
        spec = specs[name]
        bind = _bind_own if spec.kind in ARRAYS else _bind_plain
        columns[name] = bind(spec, array)
    return columns, count_rows(columns)


def bind_packed(tensor: TensorSpec, array: Array) -> Array:
    """Return a graph tensor that the client has packed itself, checked and cast.

    Raises:
        InputError: shape or datatype do not fit.
    """
    fits = array.ndim == len(tensor.shape) and all(
        want in (-1, got) for want, got in zip(tensor.shape, array.shape, strict=True)
    )
    if not fits or (array.dtype == object) != (tensor.dtype == "string"):
        raise _mismatch(tensor.name, datatype(tensor.dtype), tensor.shape, array)
    if tensor.dtype != "string":
        return array.astype(tensor.dtype, copy=False)
    texts = [text_value(tensor.name, row, value) for row, value in enumerate(array.reshape(-1))]
    return np.array([t.strip() for t in texts], dtype=object).reshape(array.shape)


def count_rows(columns: Mapping[str, Column]) -> int:
    """Return the common number of rows.

    Raises:
        InputError: the columns differ in length.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name!r} has {count}" for name, count in lengths.items())
        raise InputError(f"The inputs differ in their number of rows: {said}.")
    return next(iter(lengths.values()), 0)


def _bind_plain(spec: InputSpec, array: Array) -> Array:
    if array.ndim != 1 and not (array.ndim == 2 and array.shape[1] == 1):
        raise _mismatch(spec.name, datatype(spec.dtype), (-1,), array)
    flat = array.reshape(-1)
    if flat.dtype != object:
        return to_array(spec, flat if spec.dtype != "string" else flat.tolist())
    if spec.dtype != "string" and spec.kind != Kind.DATETIME:
        raise _mismatch(spec.name, "FP32 (or another number type)", (-1,), array)
    texts = [text_value(spec.name, row, value) for row, value in enumerate(flat.tolist())]
    return to_array(spec, texts)


def _bind_own(spec: InputSpec, array: Array) -> Column:
    if spec.kind == Kind.SEQUENCE and array.dtype == object and array.ndim == 2:
        return [labels_value(spec, row, list(values)) for row, values in enumerate(array)]
    if array.dtype == object:
        if array.ndim != 1 and not (array.ndim == 2 and array.shape[1] == 1):
            raise _mismatch(spec.name, "BYTES", (-1,), array)
        return [own_value(spec, row, value) for row, value in enumerate(array.reshape(-1))]
    if array.ndim == len(spec.shape) - 1 and spec.shape[-1] == 1:
        array = array[..., None]
    wanted = list(spec.shape)
    if spec.kind == Kind.SERIES:
        wanted[1] = -1  # other lengths are cropped or padded
    fits = array.ndim == len(wanted) and all(
        want in (-1, got) and got > 0 for want, got in zip(wanted[1:], array.shape[1:], strict=True)
    )
    if not fits:
        raise _mismatch(spec.name, f"BYTES [-1] or {datatype(spec.dtype)}", spec.shape, array)
    ready = array.dtype == spec.dtype and array.shape[1:] == _shape_like(spec, array)
    return array if ready else list(array)


def _shape_like(spec: InputSpec, array: Array) -> tuple[int, ...]:
    """Return the shape that the graph takes a value in, free axes as they are in ``array``."""
    pairs = zip(spec.shape[1:], array.shape[1:], strict=True)
    return tuple(got if want == -1 else want for want, got in pairs)


def _mismatch(name: str, wanted: str, shape: Sequence[int], array: Array) -> InputError:
    from lepta.serving.codec import datatype_of

    return InputError(
        f"Input {name!r} takes {wanted} {list(shape)}, "
        f"got {datatype_of(array.dtype)} {list(array.shape)}.",
        where=Where(field=name),
    )
