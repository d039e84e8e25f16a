"""Checkpoints of a run: the last two, written atomically, each with a hash of its content.

A file is the magic, the SHA-256 of all that follows, the length of the header, the header (JSON:
step, and the sizes of the members in order) and the members. A kill or a full disk during writing
leaves the older files as they were; a damaged file is recognised and passed over.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path

from lepta.core.errors import TrainError, Where
from lepta.core.files import atomic_write

KEPT = 2
"""Checkpoints that are kept, the newest included."""

_MAGIC = b"LEPTACP1"
_SUFFIX = ".checkpoint"
_LOCK = "lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Checkpoints:
    """The checkpoints in one folder, which one process at a time may write.

    Args:
        folder: made if it is missing.
        patience: seconds to wait for another process that holds the folder, such as one that was
            killed and has not ended yet.

    Attributes:
        damaged: files that the last :meth:`newest` passed over.
    """

    def __init__(self, folder: Path | str, *, patience: float = 30.0) -> None:
        self.folder = Path(folder)
        self.damaged: list[Path] = []
        self._patience = patience
        self._held: weakref.finalize[..., object] | None = None

    def write(self, members: Mapping[str, bytes], step: int) -> Path:
        """Write a checkpoint; then remove all but the last two.

        Raises:
            TrainError: the disk is full or the folder cannot be written; the older checkpoints
                are as they were.
        """
        self.hold()
        path = self.folder / f"step-{step:012d}{_SUFFIX}"
        try:
            with atomic_write(path) as stream:
                for part in _parts(members, step):
                    stream.write(part)
        except OSError as error:
            raise self._unwritten(error, path) from error
        for old in self.files()[KEPT:]:
            old.unlink(missing_ok=True)
        return path

    def newest(self) -> tuple[int, dict[str, bytes]] | None:
        """Return step and members of the newest whole checkpoint, or None."""
        self.damaged = []
        for path in self.files():
            found = read(path)
            if found is not None:
                return found
            self.damaged.append(path)
        return None

    def latest_step(self) -> int:
        """Return the step that the newest file names, unread; -1 without one."""
        files = self.files()
        return int(files[0].name.removeprefix("step-").removesuffix(_SUFFIX)) if files else -1

    def files(self) -> list[Path]:
        """Return the files, the newest first."""
        found = self.folder.glob(f"step-*{_SUFFIX}")
        return sorted((path for path in found if path.name[5:17].isdigit()), reverse=True)

    def hold(self) -> None:
        """Take the folder for this process until :meth:`release`, or until this object is gone.

        What killed writers left is removed.

        Raises:
            TrainError: another process holds it, or it cannot be written.
        """
        if self._held is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise self._unwritten(error, self.folder) from error
        try:
            self._lock(handle)
        except BaseException:
            os.close(handle)
            raise
        self._held = weakref.finalize(self, os.close, handle)
        for left in self.folder.glob(f".step-*{_SUFFIX}.*.tmp"):
            left.unlink(missing_ok=True)

    def release(self) -> None:
        """Let others have the folder."""
        if self._held is not None:
            self._held()
            self._held = None

    def _lock(self, handle: int) -> None:
        """Take a lock that the system drops when the process dies, and that a fork lacks."""
        import fcntl

        until = time.monotonic() + self._patience
        while True:
            with contextlib.suppress(BlockingIOError, PermissionError):
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            if time.monotonic() > until:
                raise TrainError(
                    "Another process trains with this folder.",
                    where=Where(file=str(self.folder)),
                    fix="Wait for it, stop it, or give this run a folder of its own.",
                )
            time.sleep(0.05)

    def _unwritten(self, error: OSError, path: Path) -> TrainError:
        full = error.errno in _FULL
        what = "The disk is full" if full else (error.strerror or str(error))
        kept = len(self.files())
        whole = f"; the last {kept} stand" if kept else ""
        return TrainError(
            f"A checkpoint could not be written: {what}{whole}.",
            where=Where(file=str(path)),
            fix=(
                "Free some space and run the same command again: it goes on from the last one."
                if full
                else "Make the folder writable, or name another one."
            ),
        )


def _parts(members: Mapping[str, bytes], step: int) -> Iterator[bytes]:
    header = json.dumps(
        {"step": step, "members": {name: len(data) for name, data in members.items()}}
    ).encode()
    body = [len(header).to_bytes(8, "little"), header, *members.values()]
    digest = hashlib.sha256()
    for part in body:
        digest.update(part)
    yield from (_MAGIC, digest.digest(), *body)


def read(path: Path) -> tuple[int, dict[str, bytes]] | None:
    """Return step and members of a checkpoint, or None when it is damaged or gone."""
    try:
        data = memoryview(path.read_bytes())
    except OSError:
        return None
    start = len(_MAGIC) + 32
    if data[: len(_MAGIC)] != _MAGIC or len(data) < start + 8:
        return None
    if hashlib.sha256(data[start:]).digest() != data[len(_MAGIC) : start]:
        return None
    begin = start + 8 + int.from_bytes(data[start : start + 8], "little")
    header = json.loads(bytes(data[start + 8 : begin]))
    members = {}
    for name, size in header["members"].items():
        members[name] = bytes(data[begin : begin + size])
        begin += size
    return int(header["step"]), members
