"""A spool: records in append-only, checksummed files that survive a kill at any instruction.

A record is a frame: four letters, length of the payload, sequence number, CRC-32 of all of it, the
payload. It is on the disk (fsync) before :meth:`Spool.append` returns. Numbers are never used twice
in one spool. What was acknowledged is deleted, whole files at a time; when there is no room, the
oldest file is dropped, and its records are counted.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from lepta.core.errors import EdgeError, Where
from lepta.core.files import sync_folder, write_text
from lepta.edge.agent.config import SpoolConfig

_MAGIC = b"LSP1"
_HEAD = struct.Struct("<4sIQI")
_STATE, _SUFFIX = "state.json", ".spool"
_FIX = "Move the folder away to begin a new spool; records that were not sent are lost then."


@dataclass(frozen=True)
class Record:
    """A record and its sequence number, counted from 1."""

    seq: int
    payload: bytes


class SpoolState(BaseModel):
    """What is known of records that may be gone.

    Attributes:
        spool: random name of this spool: with the number of a record it is unique in the world.
        acked: the last record that the hub has.
        dropped: records dropped unsent for lack of room.
        dropped_through: the last record dropped.
        damaged: unsent records lost because the disk gave back other bytes than were written.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    spool: str
    acked: int = 0
    dropped: int = 0
    dropped_through: int = 0
    damaged: tuple[int, ...] = ()

    @property
    def gone(self) -> int:
        """The last record that will never be read again."""
        return max(self.acked, self.dropped_through)


@dataclass
class _Segment:
    path: Path
    first: int
    last: int
    size: int


class Spool:
    """Records that wait to be sent. Safe to use from many threads, of one process.

    Args:
        folder: made where it is missing.
        config: sizes.

    Raises:
        EdgeError: the folder cannot be used, or its state is not one of a spool.
    """

    def __init__(self, folder: Path | str, config: SpoolConfig | None = None) -> None:
        self._folder, self._config = Path(folder), config or SpoolConfig()
        self._lock = threading.RLock()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._state = self._load()
            self._segments = self._recover()
        except OSError as error:
            raise self._failed(error) from error
        self._next = max([s.last for s in self._segments] + [self._state.gone]) + 1

    @property
    def state(self) -> SpoolState:
        """What is gone, and the name of the spool."""
        return self._state

    @property
    def last(self) -> int:
        """Number of the last record appended; 0 before the first."""
        return self._next - 1

    @property
    def pending(self) -> int:
        """Records that wait to be sent."""
        with self._lock:
            return sum(self._unsent(segment) for segment in self._segments)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        with self._lock:
            return sum(segment.size for segment in self._segments)

    def append(self, payload: bytes) -> int:
        """Write a record to the disk and return its number.

        Raises:
            EdgeError: it is larger than the spool, or the disk is full; nothing was appended.
        """
        with self._lock:
            frame = _frame(self._next, payload)
            if len(frame) > self._config.limit:
                raise EdgeError(
                    f"A record of {len(frame):,} bytes does not fit into the spool.",
                    fix=f"Raise --spool.limit from {self._config.limit:,}.",
                )
            try:
                self._write(frame)
            except OSError as error:
                raise self._failed(error) from error
            self._next += 1
            self._make_room()
            return self._next - 1

    def peek(self, count: int, size: int = 1 << 22) -> list[Record]:
        """Return the oldest records that were not acknowledged, in order.

        Args:
            count: how many at most.
            size: bytes of all payloads at most; one record is always given.

        Raises:
            EdgeError: the disk cannot be read.
        """
        found: list[Record] = []
        with self._lock:
            for segment in list(self._segments):
                for record in self._read(segment):
                    if record.seq <= self._state.gone:
                        continue
                    size -= len(record.payload)
                    if len(found) == count or (found and size < 0):
                        return found
                    found.append(record)
        return found

    def acknowledge(self, seq: int) -> None:
        """Forget the records up to ``seq``: the hub has them.

        Raises:
            EdgeError: the disk cannot be written; they will be sent again, which does no harm.
        """
        with self._lock:
            if seq <= self._state.acked:
                return
            self._keep(acked=min(seq, self.last))
            self._forget()

    def _load(self) -> SpoolState:
        state = read_state(self._folder)
        if state is None:
            state = SpoolState(spool=secrets.token_hex(8))
            write_text(self._folder / _STATE, state.model_dump_json())
        return state

    def _keep(self, **changes: Any) -> None:
        state = self._state.model_copy(update=changes)
        try:
            write_text(self._folder / _STATE, state.model_dump_json())
        except OSError as error:
            raise self._failed(error) from error
        self._state = state

    def _recover(self) -> list[_Segment]:
        """Cut off what was half written, and count what is damaged."""
        segments: list[_Segment] = []
        whole: set[int] = set()
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            data = path.read_bytes()
            frames = list(_frames(data))
            if not frames:
                path.unlink()
                continue
            end = frames[-1][1]
            if end < len(data):
                os.truncate(path, end)
            numbers = [record.seq for record, _ in frames]
            whole.update(numbers)
            segments.append(_Segment(path, numbers[0], numbers[-1], end))
        wanted = range(self._state.gone + 1, max(whole, default=0) + 1)
        lost = set(wanted) - whole - set(self._state.damaged)
        if lost:
            self._keep(damaged=tuple(sorted({*self._state.damaged, *lost})))
        return segments

    def _read(self, segment: _Segment) -> Iterator[Record]:
        try:
            data = segment.path.read_bytes()
        except OSError as error:
            raise self._failed(error) from error
        for record, _ in _frames(data):
            yield record

    def _write(self, frame: bytes) -> None:
        last = self._segments[-1] if self._segments else None
        most = min(self._config.segment, self._config.limit // 2)
        fresh = last is None or last.size + len(frame) > most
        if last is None or fresh:
            path = self._folder / f"{self._next:020d}{_SUFFIX}"
            last = _Segment(path, self._next, self._next - 1, 0)
        handle = os.open(last.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            _put(handle, frame, last.size)
        finally:
            os.close(handle)
        if fresh:
            sync_folder(self._folder)
            self._segments.append(last)
        last.last, last.size = self._next, last.size + len(frame)

    def _make_room(self) -> None:
        while len(self._segments) > 1 and self.size > self._config.limit:
            oldest = self._segments[0]
            lost = self._unsent(oldest)
            self._keep(dropped=self._state.dropped + lost, dropped_through=oldest.last)
            self._forget()

    def _unsent(self, segment: _Segment) -> int:
        gone = max(segment.first - 1, self._state.gone)
        holes = sum(gone < seq <= segment.last for seq in self._state.damaged)
        return max(0, segment.last - gone - holes)

    def _forget(self) -> None:
        while self._segments and self._segments[0].last <= self._state.gone:
            self._segments.pop(0).path.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> EdgeError:
        return EdgeError(
            f"The spool cannot be used: {error.strerror or error}.",
            where=Where(file=str(self._folder)),
            fix="Check that the folder is yours and that the disk has room.",
        )


def read_state(folder: Path) -> SpoolState | None:
    """Return the state of a spool, also while another process uses it; None where there is none.

    Raises:
        EdgeError: it is damaged.
    """
    path = folder / _STATE
    try:
        return SpoolState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise EdgeError(
            "The state of the spool is damaged.", where=Where(file=str(path)), fix=_FIX
        ) from error


def read_records(folder: Path) -> list[Record]:
    """Return all whole records of a spool, also while another process uses it."""
    found: list[Record] = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        with contextlib.suppress(FileNotFoundError):  # its records have just been sent
            found += [record for record, _ in _frames(path.read_bytes())]
    return found


def _put(handle: int, frame: bytes, place: int) -> None:
    """Write at ``place`` whatever stands there, to the disk."""
    os.ftruncate(handle, place)
    os.lseek(handle, place, os.SEEK_SET)
    try:
        view = memoryview(frame)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, place)
        raise


def _frame(seq: int, payload: bytes) -> bytes:
    bare = _HEAD.pack(_MAGIC, len(payload), seq, 0)
    return _HEAD.pack(_MAGIC, len(payload), seq, zlib.crc32(payload, zlib.crc32(bare))) + payload


def _frames(data: bytes) -> Iterator[tuple[Record, int]]:
    """Yield every whole record and where it ends; what is damaged is passed over."""
    begin = data.find(_MAGIC)
    while begin >= 0:
        end = begin + _HEAD.size
        if end <= len(data):
            _, length, seq, _ = _HEAD.unpack_from(data, begin)
            payload = data[end : end + length]
            if data[begin : end + length] == _frame(seq, payload):
                yield Record(seq, payload), end + length
                begin = data.find(_MAGIC, end + length)
                continue
        begin = data.find(_MAGIC, begin + 1)
