"""Getting values out of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import DataError, DecodeError, LeptaError, Where
from lepta.core.schema import ARRAYS, MEDIA, Kind, Schema
from lepta.data.files import FIX

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset
    from lepta.data.media import Decoder

Transform = Callable[[NDArray[Any]], NDArray[Any]]


def _is_tensor(column: Any) -> bool:
    import pyarrow as pa

    return isinstance(column.type, pa.FixedShapeTensorType)


def tensors(column: Any) -> NDArray[Any]:
    """Return a column of fixed-shape tensors as one array (rows, ...)."""
    parts = [chunk.to_numpy_ndarray() for chunk in column.chunks if len(chunk)]
    whole: NDArray[Any] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return whole


def values(data: Dataset, name: str) -> list[Any]:
    """Return the values of a field as Python values."""
    data.schema[name]
    column = data.table[name]
    return list(tensors(column)) if _is_tensor(column) else list(column.to_pylist())


def truth(data: Dataset, name: str) -> list[Any]:
    """Return the values of a target field; those that are files are decoded."""
    if data.schema[name].kind not in MEDIA:
        return values(data, name)
    decoding = decoder_of(data, name, data.decoders.get(name))
    return [decoding(row) for row in range(len(data))]


def array(data: Dataset, name: str) -> NDArray[Any]:
    """Return a field as a NumPy array."""
    import pyarrow as pa

    data.schema[name]
    column = data.table[name]
    kind = column.type
    if _is_tensor(column):
        return tensors(column)
    if pa.types.is_timestamp(kind):
        moments = column.cast(pa.int64()).cast(pa.float64(), safe=False)
        return _floats(moments, np.float64) / 1e6
    if pa.types.is_float32(kind):
        return _floats(column, np.float32)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return _floats(column.cast(pa.float64(), safe=False), np.float64)
    objects = np.empty(len(column), object)
    objects[:] = column.to_pylist()
    return objects


def predictable(data: Dataset, name: str) -> Any:
    """Return a field as the runtime takes it; a file becomes a function that reads it."""
    kind = data.schema[name].kind
    if kind not in MEDIA:
        return array(data, name) if kind in (Kind.NUMBER, Kind.DATETIME) else values(data, name)
    column = data.table[name]
    if _is_tensor(column):
        return list(tensors(column))
    return [
        partial(read_bytes, data, name, row) if there else None
        for row, there in enumerate(present(data, name))
    ]


def _floats(column: Any, dtype: type) -> NDArray[Any]:
    import pyarrow.compute as pc

    filled = pc.fill_null(column, float("nan")) if column.null_count else column
    return np.asarray(filled.to_numpy(), dtype)


def where(data: Dataset, name: str, row: int) -> Where:
    """Return the place of a value for messages: its file, its row as read, its field."""
    return Where(file=data.location(name, row), row=int(data.row_numbers[row]), field=name)


def read_bytes(data: Dataset, name: str, row: int) -> bytes:
    """Return the file of a media value."""
    value = data.table[name][row].as_py() if not _is_tensor(data.table[name]) else None
    if isinstance(value, bytes):
        return value
    if value is None:
        raise DataError(
            f"There is no file in {name!r}.",
            where=where(data, name, row),
            fix="Fill in the path, or drop the row.",
        )
    return data.files.read(value, where(data, name, row))


def decode(data: Dataset, name: str, row: int) -> NDArray[Any]:
    """Return one decoded media value."""
    kind = data.schema[name].kind
    if kind not in MEDIA:
        raise DataError(f"{name!r} is of kind {kind.value}; there is nothing to decode.")
    return decoder_of(data, name, data.decoders.get(name))(row)


def present(data: Dataset, name: str) -> NDArray[np.bool_]:
    """Return whether each row has a value of a field."""
    return np.asarray(data.table[name].is_valid().to_numpy(), np.bool_)


def may_lack(schema: Schema, name: str) -> bool:
    """Whether rows may lack a field: it has a tensor of its own, and there are other inputs."""
    return schema[name].kind in ARRAYS and len(schema.inputs) > 1


def decoder_of(data: Dataset, name: str, decoder: Decoder | None) -> Callable[[int], NDArray[Any]]:
    """Return the function that decodes a row of a field; safe to call from many threads."""
    if not _is_tensor(data.table[name]):
        return _Decoding(data, name, decoder)
    whole = tensors(data.table[name])
    return lambda row: whole[row][..., None] if whole[row].ndim == 2 else whole[row]


class _Decoding:
    """Decodes the rows of one field; safe to use from many threads."""

    def __init__(self, data: Dataset, name: str, decoder: Decoder | None) -> None:
        from lepta.runtime.decoders import DECODERS

        if decoder is None:
            raise DataError(
                f"No decoder is known for {name!r}.",
                where=Where(field=name),
                fix=f"Give it the role 'input' or a kind with kinds={{{name!r}: 'image'}}.",
            )
        self._data, self._name = data, name
        self._decoder = DECODERS.get(decoder[0])(**decoder[1])

    def __call__(self, row: int) -> NDArray[Any]:
        path = self._data.location(self._name, row)
        place = where(self._data, self._name, row)
        try:
            decoded: NDArray[Any] = self._decoder(self._content(path, row), name=path or "")
        except DataError as error:
            error.where = place
            raise
        except LeptaError:
            raise
        except Exception as error:
            raise DecodeError(
                f"The file cannot be decoded: {error}", where=place, fix="Replace or drop the file."
            ) from error
        return decoded

    def _content(self, path: str | None, row: int) -> Any:
        if path is None or not self._data.files.is_folder(path):
            return read_bytes(self._data, self._name, row)
        files = self._data.files
        return [files.read(member) for member in files.listing(path)]


def missing_files(data: Dataset, name: str) -> list[int]:
    """Return the rows whose file of a media field is absent.

    A row without a path counts only where the field is the only input; see :func:`may_lack`.
    """
    import pyarrow as pa

    if not pa.types.is_large_string(data.table[name].type):
        return []
    known: dict[str, bool] = {}
    rows = []
    lax = may_lack(data.schema, name)
    for row, path in enumerate(data.column(name)):
        if path is not None and path not in known:
            known[path] = data.files.exists(path)
        if (not lax) if path is None else not known[path]:
            rows.append(row)
    return rows


def require_files(data: Dataset, name: str) -> None:
    """Refuse a field some of whose files are absent.

    Raises:
        DataError: the first missing file is named, with its row, and all are counted.
    """
    rows = missing_files(data, name)
    if rows:
        place = where(data, name, rows[0])
        raise DataError(
            f"{len(rows)} of {len(data)} files of {name!r} are missing"
            + (f", the first {place.file!r}." if place.file else ": no path is given."),
            where=place,
            fix=FIX,
        )
