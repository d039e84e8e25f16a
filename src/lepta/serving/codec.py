"""Tensors of the Open Inference Protocol v2 as NumPy arrays, and back.

Binary tensors follow the binary tensor data extension: C order, little-endian, BYTES as a u32
length before each element, BOOL one byte an element, BF16 the upper half of a float32.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import InputError, Where, suggest

Array = NDArray[Any]
Buffer = bytes | bytearray | memoryview

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""Datatypes of the protocol and the NumPy types that hold them. BF16 is read as float32."""

_NAMES = {(dtype.kind, dtype.itemsize): name for name, dtype in DTYPES.items()}
_LENGTH = struct.Struct("<I")
_SAFE = {"b": "b", "u": "bui", "i": "bui", "f": "buif"}
"""Kinds of a JSON array that each kind of dtype takes without losing anything."""


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Return the protocol's name of a NumPy type; strings and objects are BYTES.

    Raises:
        InputError: the protocol has no such type.
    """
    if dtype.kind in "OUS":
        return "BYTES"
    name = _NAMES.get((dtype.kind, dtype.itemsize))
    if name is None:
        raise InputError(f"Arrays of {dtype} cannot be sent.", fix="Convert it to float32.")
    return name


def decode_binary(name: str, datatype: str, shape: Sequence[int], data: Buffer) -> Array:
    """Return a view of ``data`` as an array; only BYTES and misaligned tensors are copied.

    Raises:
        InputError: the datatype is unknown, or size and shape disagree.
    """
    count = _count(name, shape)
    if datatype == "BYTES":
        return split_bytes(name, data, count).reshape(shape)
    dtype = np.dtype("<u2") if datatype == "BF16" else _dtype(name, datatype)
    if len(data) != count * dtype.itemsize:
        raise InputError(
            f"Input {name!r}: {datatype} of shape {list(shape)} is {count * dtype.itemsize} bytes, "
            f"got {len(data)}.",
            where=Where(field=name),
        )
    array: Array = np.frombuffer(data, dtype)
    if datatype == "BF16":
        array = (array.astype("<u4") << 16).view("<f4")
    if not array.flags.aligned:
        array = array.copy()
    return array.reshape(shape)


def encode_binary(array: Array) -> bytes:
    """Return the bytes of a tensor; object and string arrays become BYTES."""
    if array.dtype.kind in "OUS":
        return join_bytes(array.reshape(-1).tolist())
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.tobytes()


def split_bytes(name: str, data: Buffer, count: int) -> Array:
    """Return the elements of a BYTES tensor as an object array of ``bytes``.

    Raises:
        InputError: the data ends early, or holds more or fewer than ``count`` elements.
    """
    view = memoryview(data)
    items: list[bytes] = []
    offset, end = 0, len(view)
    while offset < end:
        if end - offset < 4 or (length := _LENGTH.unpack_from(view, offset)[0]) > end - offset - 4:
            raise InputError(
                f"Input {name!r}: element {len(items) + 1} of the BYTES tensor is cut off.",
                where=Where(field=name),
                fix="Each element is a 4-byte little-endian length and that many bytes.",
            )
        items.append(bytes(view[offset + 4 : offset + 4 + length]))
        offset += 4 + length
    if len(items) != count:
        raise InputError(
            f"Input {name!r}: the shape asks for {count} elements, the data holds {len(items)}.",
            where=Where(field=name),
        )
    return as_objects(items)


def join_bytes(items: Iterable[Any]) -> bytes:
    """Return a BYTES tensor from strings and bytes; None is empty."""
    parts: list[bytes] = []
    for item in items:
        data = item if isinstance(item, bytes) else ("" if item is None else str(item)).encode()
        parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)


def decode_json(name: str, datatype: str, shape: Sequence[int], data: Any) -> Array:
    """Return the array of a JSON tensor, flat or nested; null is NaN in floats, None in BYTES.

    Floats too large for the datatype become infinite, with NumPy's warning.

    Raises:
        InputError: the datatype is unknown, a value does not fit it, or the shape disagrees.
    """
    count = _count(name, shape)
    if not isinstance(data, list):
        raise InputError(f"Input {name!r}: 'data' must be an array.", where=Where(field=name))
    if datatype == "BYTES":
        array = as_objects(_flat(data))
    else:
        dtype = np.dtype("<f4") if datatype == "BF16" else _dtype(name, datatype)
        array = _numbers(name, datatype, dtype, data)
    if array.size != count:
        raise InputError(
            f"Input {name!r}: shape {list(shape)} asks for {count} values, got {array.size}.",
            where=Where(field=name),
        )
    return array.reshape(shape)


def encode_json(array: Array) -> list[Any] | Array:
    """Return the flat values of a tensor for a JSON writer that knows NumPy arrays."""
    flat = array.reshape(-1)
    if array.dtype.kind not in "OUS":
        return flat
    return [i.decode("utf-8") if isinstance(i, bytes) else i for i in flat.tolist()]


def as_objects(items: Sequence[Any]) -> Array:
    """Return a one-dimensional object array that holds ``items`` as they are."""
    array = np.empty(len(items), object)
    array[:] = items
    return array


def _numbers(name: str, datatype: str, dtype: np.dtype[Any], data: list[Any]) -> Array:
    try:
        raw = np.asarray(data)
        if raw.size and raw.dtype.kind not in _SAFE[dtype.kind]:
            return _one_by_one(_flat(data), dtype)
        cast = raw.astype(dtype)
        if dtype.kind != "f" and not np.array_equal(cast, raw):
            raise ValueError("a value is out of range")
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"Input {name!r}: the values are not {datatype}: {error}.", where=Where(field=name)
        ) from error
    return cast


def _one_by_one(values: list[Any], dtype: np.dtype[Any]) -> Array:
    """Convert what NumPy alone finds no exact type for: null, or integers beyond 63 bits."""
    takes: Any = {"b": bool, "f": int | float | None}.get(dtype.kind, int)
    for value in values:
        if not isinstance(value, takes):
            raise ValueError(f"got {str(value)[:60]!r}")
    return np.array(values, dtype)


def _flat(data: list[Any]) -> list[Any]:
    if not any(isinstance(item, list) for item in data):
        return data
    out: list[Any] = []
    stack: list[Any] = data[::-1]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(reversed(item))
        else:
            out.append(item)
    return out


def _count(name: str, shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        if type(size) is not int or size < 0:
            raise InputError(
                f"Input {name!r}: shape {list(shape)!r} must be whole numbers from 0.",
                where=Where(field=name),
            )
        count *= size
    return count


def _dtype(name: str, datatype: str) -> np.dtype[Any]:
    dtype = DTYPES.get(datatype)
    if dtype is None:
        raise InputError(
            f"Input {name!r}: there is no datatype {datatype!r}.{suggest(datatype, DTYPES)}",
            where=Where(field=name),
            fix=f"Known: {', '.join((*DTYPES, 'BF16'))}.",
        )
    return dtype
