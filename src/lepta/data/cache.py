"""Decoded values of a media field as one memory-mapped array, kept on disk.

A cache file is a NumPy array file, followed by the digest of each row's source and by a seal: a
SHA-256 over the header, the SHA-256 of each row of the array, and those digests. It lies in a
folder named after what made it (decoder, options, key), so that any file of the folder can lend
rows to another: folds and splits decode nothing twice.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ConfigError, DataError, LeptaError, Where
from lepta.core.events import Context
from lepta.core.files import atomic_write, cache_folder
from lepta.core.schema import MEDIA
from lepta.data import access

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset
    from lepta.data.media import Decoder

_VERSION = 1
_DIGEST = 32
_LENDERS = 16
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_verified: set[tuple[str, int, int, int]] = set()

Produce = Callable[[int], NDArray[Any]]


def decoded(
    data: Dataset,
    name: str,
    transform: access.Transform | None,
    *,
    key: str,
    decoder: Decoder | None,
    absent: NDArray[Any] | None,
    context: Context,
) -> NDArray[Any]:
    """Return the decoded values of a field (rows, ...); see :meth:`Dataset.decoded`.

    Raises:
        ConfigError: there is a transform and no key.
        DataError: no rows, shapes that differ, missing files, or a full disk.
        DecodeError: a file cannot be decoded.
    """
    _check(data, name, transform, key)
    access.require_files(data, name)
    digests = row_digests(data, name, context)
    recipe = json.dumps([_VERSION, decoder, key], sort_keys=True).encode()
    folder = (context.cache or cache_folder()) / "decoded" / hashlib.sha256(recipe).hexdigest()
    path = folder / f"{hashlib.sha256(b''.join(digests)).hexdigest()}.npy"
    try:
        ready = _open(path)
        if ready is not None:
            return ready.array
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(path):
            ready = _open(path)
            if ready is None:
                produce = _producer(data, name, transform, decoder, absent, _lent(folder, digests))
                _Writer(data, name, path, digests).write(produce, context)
                ready = _open(path)
    except OSError as error:
        raise _disk_error(folder, error) from error
    if ready is None:
        raise DataError("The cache cannot be read back.", where=Where(file=str(path)))
    return ready.array


def kept(
    name: str, key: Iterable[bytes], make: Callable[[], NDArray[Any]], context: Context
) -> NDArray[Any]:
    """Return an array that ``make`` makes, made once for all processes and kept on disk.

    Args:
        name: what it is, the name of a folder.
        key: all that it is made from.
        make: makes it; numbers only.
        context: the folder of the cache.

    Raises:
        DataError: the disk is full, or may not be written to.
    """
    digest = hashlib.sha256()
    for part in key:
        digest.update(hashlib.sha256(part).digest())
    folder = (context.cache or cache_folder()) / name
    path = folder / f"{digest.hexdigest()}.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(path):
            if not path.exists():
                with atomic_write(path) as stream:
                    np.save(stream, make(), allow_pickle=False)
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise _disk_error(folder, error) from error
    return array


def _check(data: Dataset, name: str, transform: access.Transform | None, key: str) -> None:
    kind = data.schema[name].kind
    if kind not in MEDIA:
        raise DataError(f"{name!r} is of kind {kind.value}; there is nothing to decode.")
    if not len(data):
        raise DataError(f"There are no rows of {name!r} to decode.")
    if transform is not None and not key:
        raise ConfigError("A transform needs a key, by which its results are kept.")


def row_digests(data: Dataset, name: str, context: Context) -> list[bytes]:
    """Return the SHA-256 of each row's content of a media field."""
    import pyarrow as pa

    column = data.table[name]
    if pa.types.is_large_string(column.type):
        paths = data.column(name)
        known = data.files.digests((str(path) for path in paths if path is not None), context)
        found = iter(known)
        return [_digest(None) if path is None else bytes.fromhex(next(found)) for path in paths]
    return [_digest(value) for value in data.column(name)]


def _digest(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        head = f"{value.dtype.str}{value.shape}".encode()
        return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).digest()
    if isinstance(value, list):
        return hashlib.sha256(repr(value).encode()).digest()
    return hashlib.sha256(value or b"").digest()


def _producer(
    data: Dataset,
    name: str,
    transform: access.Transform | None,
    decoder: Decoder | None,
    absent: NDArray[Any] | None,
    lent: dict[int, NDArray[Any]],
) -> Produce:
    decode = access.decoder_of(data, name, decoder)
    there = access.present(data, name)

    def produce(row: int) -> NDArray[Any]:
        if row in lent:
            return lent[row]
        value = absent if absent is not None and not there[row] else decode(row)
        try:
            return np.asarray(value if transform is None else transform(value))
        except LeptaError as error:
            error.where = access.where(data, name, row)
            raise

    return produce


@dataclass(frozen=True)
class _Cached:
    array: NDArray[Any]
    digests: NDArray[np.void]


def _open(path: Path) -> _Cached | None:
    """Return a whole cache file; a damaged one is removed."""
    try:
        with path.open("rb") as stream:
            cached = _read(path, stream)
    except FileNotFoundError:
        return None
    except (ValueError, OSError, EOFError):
        path.unlink(missing_ok=True)
        return None
    return cached


def _read(path: Path, stream: Any) -> _Cached:
    version = np.lib.format.read_magic(stream)
    if version != (2, 0):
        raise ValueError("another version of the array format")
    shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    begin, rows = stream.tell(), int(shape[0])
    end = begin + int(np.prod(shape)) * dtype.itemsize
    status = os.fstat(stream.fileno())
    if fortran or dtype.hasobject or status.st_size != end + (rows + 1) * _DIGEST:
        raise ValueError("the file has another size than its header says")
    identity = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
    array = np.memmap(path, dtype, "r", offset=begin, shape=shape)
    head, tail = os.pread(stream.fileno(), begin, 0), os.pread(stream.fileno(), rows * _DIGEST, end)
    if identity not in _verified:
        sums = (hashlib.sha256(row.data).digest() for row in array.reshape(rows, -1))
        if _seal(head, sums, tail) != os.pread(stream.fileno(), _DIGEST, end + len(tail)):
            raise ValueError("the content does not match its seal")
        _verified.add(identity)
    digests = np.frombuffer(tail, dtype=f"V{_DIGEST}")
    return _Cached(array, digests)


def _seal(head: bytes, sums: Iterable[bytes], tail: bytes) -> bytes:
    digest = hashlib.sha256(head)
    for value in sums:
        digest.update(value)
    digest.update(tail)
    return digest.digest()


def _lent(folder: Path, digests: Sequence[bytes]) -> dict[int, NDArray[Any]]:
    """Return the rows that other files of the folder hold already."""
    wanted: dict[bytes, list[int]] = {}
    for row, digest in enumerate(digests):
        wanted.setdefault(digest, []).append(row)
    lent: dict[int, NDArray[Any]] = {}
    for path in sorted(folder.glob("*.npy"), key=_modified, reverse=True)[:_LENDERS]:
        cached = _open(path) if len(lent) < len(digests) else None
        if cached is None:
            continue
        for position, digest in enumerate(cached.digests):
            for row in wanted.get(digest.tobytes(), ()):
                lent[row] = cached.array[position]
    return lent


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Let one process at a time make ``path``; what killed ones left behind is removed."""
    try:
        import fcntl
    except ModuleNotFoundError:
        yield
        return
    with path.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in path.parent.glob(f".{path.name}.*.tmp"):
            left.unlink(missing_ok=True)
        yield


@dataclass(frozen=True)
class _Writer:
    """Writes one cache file: rows in any order, then the digests."""

    data: Dataset
    name: str
    path: Path
    digests: Sequence[bytes]

    def write(self, produce: Produce, context: Context) -> None:
        """Produce all rows in parallel and write them; nothing is left when it fails."""
        first = np.ascontiguousarray(produce(0))
        head = io.BytesIO()
        shape = (len(self.digests), *first.shape)
        np.lib.format.write_array_header_2_0(
            head, {"descr": first.dtype.str, "fortran_order": False, "shape": shape}
        )
        begin = head.tell()
        with atomic_write(self.path) as stream:
            descriptor = stream.fileno()
            _pwrite(descriptor, head.getvalue(), 0)

            sums = [b""] * len(self.digests)

            def put(row: int) -> None:
                value = first if row == 0 else np.ascontiguousarray(produce(row))
                self._same(value, first, row)
                content = value.tobytes()
                sums[row] = hashlib.sha256(content).digest()
                _pwrite(descriptor, content, begin + row * first.nbytes)

            self._run(put, context)
            end = begin + first.nbytes * len(self.digests)
            tail = b"".join(self.digests)
            _pwrite(descriptor, tail + _seal(head.getvalue(), sums, tail), end)

    def _run(self, put: Callable[[int], None], context: Context) -> None:
        rows = range(len(self.digests))
        pool = ThreadPoolExecutor(context.threads or os.cpu_count() or 1)
        try:
            for _ in context.track(pool.map(put, rows), f"Decoding {self.name}", len(rows)):
                pass
        finally:
            pool.shutdown(cancel_futures=True)

    def _same(self, value: NDArray[Any], first: NDArray[Any], row: int) -> None:
        if value.shape == first.shape and value.dtype == first.dtype:
            return
        raise DataError(
            f"The values of {self.name!r} differ in shape: {first.shape} {first.dtype} in the "
            f"first row, {value.shape} {value.dtype} here.",
            where=access.where(self.data, self.name, row),
            fix="Give a transform that brings all to one shape, or resize the files.",
        )


def _pwrite(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _disk_error(folder: Path, error: OSError) -> DataError:
    if error.errno in _FULL:
        return DataError(
            "The disk is full: decoded files do not fit into the cache.",
            where=Where(file=str(folder)),
            fix="Free some space, or name another folder with Context(cache=...).",
        )
    return DataError(
        f"The cache cannot be written: {error.strerror or error}.",
        where=Where(file=str(error.filename or folder)),
        fix="Name a folder that you may write to with Context(cache=...).",
    )
