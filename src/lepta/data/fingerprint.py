"""The fingerprint of a dataset: equal content gives equal fingerprints, wherever it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lepta.core.events import Context
from lepta.core.schema import MEDIA, Kind

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset

_VERSION = b"lepta dataset 2\n"


def digests(data: Dataset, context: Context) -> dict[str, str]:
    """Return the SHA-256 of each column in canonical form; files count by content, not by path.

    Order of rows, values and gaps matter; how a table was stored does not.
    """
    found = {}
    for field in data.schema:
        digest = hashlib.sha256()
        media = field.kind in MEDIA or field.kind == Kind.SERIES
        update = _hash_media if media else _hash_plain
        update(digest, data, field.name, context)
        found[field.name] = digest.hexdigest()
    return found


def fingerprint(columns: Mapping[str, str]) -> str:
    """Return the SHA-256 of a dataset from those of its columns; their names and order matter."""
    digest = hashlib.sha256(_VERSION)
    for name, column in columns.items():
        digest.update(name.encode() + b"\0" + bytes.fromhex(column))
    return digest.hexdigest()


def _hash_media(digest: Any, data: Dataset, name: str, context: Context) -> None:
    import pyarrow as pa

    from lepta.data.cache import row_digests

    column = data.table[name]
    if not pa.types.is_large_string(column.type):
        digest.update(b"".join(row_digests(data, name, context)))
        return
    paths = data.column(name)
    there = [path for path in paths if path is not None and data.files.exists(path)]
    hashed = dict(zip(there, data.files.digests(there, context), strict=True))
    for path in paths:
        digest.update(f"{hashed.get(path, f'missing {path}')}\n".encode())


def _hash_plain(digest: Any, data: Dataset, name: str, context: Context) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    del context
    column = data.table[name]
    kind = column.type
    if pa.types.is_large_string(kind):
        _hash_strings(digest, column)
        return
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        column = column.cast(pa.float64(), safe=False) if pa.types.is_floating(kind) else (
            column.cast(pa.int64())
        )  # fmt: skip
    else:
        digest.update(repr(column.to_pylist()).encode())
        return
    digest.update(str(column.type).encode())
    digest.update(np.packbits(column.is_valid().to_numpy()).tobytes())
    digest.update(np.ascontiguousarray(pc.fill_null(column, 0).to_numpy()).tobytes())


def _hash_strings(digest: Any, column: Any) -> None:
    import pyarrow.compute as pc

    digest.update(b"string" + np.packbits(column.is_valid().to_numpy()).tobytes())
    filled = pc.fill_null(column, "")
    digest.update(np.asarray(pc.binary_length(filled).to_numpy(), np.int64).tobytes())
    for value in filled.to_pylist():
        digest.update(value.encode())
