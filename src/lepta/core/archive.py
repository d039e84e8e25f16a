"""The one reader of zips and folders that come from outside: audited first, then read in memory.

Nothing is ever unpacked to disk, and no header is believed: what is read is capped by
:class:`Limits`, so that an archive made to inflate without end does not.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import sys
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from lepta.core.errors import DataError, LeptaError, Where

GIB = 1024**3
_LONGEST_NAME = 1024
_DIRECTORY_BYTES = 512
"""Bytes of a zip's central directory that are read for each member allowed."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold.

    Attributes:
        max_members: number of files.
        max_total: bytes of all files together, uncompressed.
        max_member: bytes of one file, uncompressed.
        max_ratio: uncompressed size of a file over its compressed size.
    """

    max_members: int = 10_000
    max_total: int = 8 * GIB
    max_member: int = 2 * GIB
    max_ratio: float = 200.0


def unsafe_name(name: str) -> str | None:
    """Return why ``name`` may not name a member of an archive, or None when it may."""
    if not name or len(os.fsencode(name)) > _LONGEST_NAME:
        return "is empty or too long"
    if any(ord(letter) < 32 or letter in "\\\x7f" for letter in name):
        return "holds a backslash, a NUL or another control character"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "is an absolute path"
    if {"", ".", ".."} & set(name.split("/")):
        return "leads out of the archive ('..') or is not in its plain form"
    return None


class Archive(ABC):
    """Files by name, "/" between folders. Use as a context manager; reading is thread-safe.

    Args:
        label: the archive's path, for messages.
        limits: what is refused for its size.
        error: class of the errors raised.
    """

    def __init__(self, label: str, limits: Limits, error: type[LeptaError]) -> None:
        self.label, self.limits, self._error = label, limits, error
        self._sizes: dict[str, int] = {}
        self._total = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all files, sorted."""
        return tuple(sorted(self._sizes))

    def size(self, name: str) -> int:
        """Size of a file in bytes, as its header declares it."""
        self._require(name)
        return self._sizes[name]

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            LeptaError: of the archive's error class; the file is absent or damaged.
        """
        self._require(name)
        data = self._read(name)
        if len(data) != self._sizes[name]:
            raise self.refuse(f"The member {name!r} is not of the size it declares.")
        return data

    def refuse(self, what: str) -> LeptaError:
        """Return the error that says ``what`` about this archive."""
        return self._error(
            what,
            where=Where(file=self.label),
            fix="Get the file again from somebody you trust; do not use this one.",
        )

    @abstractmethod
    def close(self) -> None:
        """Free what the archive holds open."""

    @abstractmethod
    def _read(self, name: str) -> bytes:
        """Return the content of a known file, one byte more than declared at most."""

    def _require(self, name: str) -> None:
        if name not in self._sizes:
            raise self._error(f"There is no {name!r} in it.", where=Where(file=self.label))

    def _add(self, name: str, size: int) -> None:
        limits = self.limits
        if name in self._sizes:
            raise self.refuse(f"The member {name!r} stands more than once.")
        self._sizes[name] = size
        self._total += size
        if len(self._sizes) > limits.max_members:
            raise self.refuse(f"There are more than {limits.max_members:,} members.")
        if size > limits.max_member:
            raise self.refuse(f"The member {name!r} is larger than {limits.max_member:,} bytes.")
        if self._total > limits.max_total:
            raise self.refuse(f"The members are larger than {limits.max_total:,} bytes together.")

    def _check_name(self, name: str) -> None:
        if reason := unsafe_name(name):
            raise self.refuse(f"The member name {name!r} {reason}.")

    def __contains__(self, name: object) -> bool:
        return name in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class SafeZip(Archive):
    """A zip whose members are all harmless: plain names, plain files, modest sizes.

    Args:
        source: a path, or an open seekable stream.
        limits: what is refused for its size.
        error: class of the errors raised.

    Raises:
        LeptaError: of class ``error``; the file is no zip or has a member that is refused: a link
            or special file, an encrypted one, an unknown compression, an unsafe or repeated
            name, or one beyond the limits.
    """

    def __init__(
        self,
        source: Path | str | BinaryIO,
        limits: Limits | None = None,
        error: type[LeptaError] = DataError,
        label: str | None = None,
    ) -> None:
        given = isinstance(source, str | Path)
        super().__init__(label or (str(source) if given else ""), limits or Limits(), error)
        try:
            with ExitStack() as stack:
                if isinstance(source, str | Path):
                    source = stack.enter_context(Path(source).open("rb"))
                stream = _Capped(source, self)
                self._zip = stack.enter_context(zipfile.ZipFile(stream))
                for info in self._zip.infolist():
                    self._audit(info)
                self._stack = stack.pop_all()
        except _ZIP_ERRORS as problem:
            raise self.refuse(f"This is not a zip file that can be read: {problem}") from problem
        stream.cap = sys.maxsize

    def _audit(self, info: zipfile.ZipInfo) -> None:
        name = info.filename
        for spelling in (info.orig_filename, name):
            self._check_name(spelling.removesuffix("/"))
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
            raise self.refuse(f"The member {name!r} is a link or a special file.")
        if info.flag_bits & _ENCRYPTED:
            raise self.refuse(f"The member {name!r} is encrypted.")
        if info.compress_type not in _METHODS:
            raise self.refuse(
                f"The member {name!r} is compressed by an unknown method ({info.compress_type})."
            )
        if info.file_size > self.limits.max_ratio * max(1, info.compress_size):
            raise self.refuse(
                f"The member {name!r} would inflate more than {self.limits.max_ratio:g} times."
            )
        if not info.is_dir():
            self._add(name, info.file_size)

    def _read(self, name: str) -> bytes:
        try:
            with self._zip.open(name) as stream:
                return stream.read(self._sizes[name] + 1)
        except _ZIP_ERRORS as problem:
            raise self.refuse(f"The member {name!r} is damaged: {problem}") from problem

    def close(self) -> None:
        self._stack.close()


class _Capped:
    """A stream that refuses the single huge read by which a zip's directory would be loaded."""

    def __init__(self, stream: BinaryIO, archive: Archive) -> None:
        self._stream, self._archive = stream, archive
        self.cap = max(1 << 17, archive.limits.max_members * _DIRECTORY_BYTES)

    def read(self, size: int = -1) -> bytes:
        if size > self.cap:
            raise self._archive.refuse("The directory of the zip is too large.")
        return self._stream.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class SafeFolder(Archive):
    """A folder that holds nothing but folders and plain files: no links of any kind.

    Raises:
        LeptaError: of class ``error``; something in the folder is refused.
    """

    def __init__(
        self, root: Path | str, limits: Limits | None = None, error: type[LeptaError] = DataError
    ) -> None:
        super().__init__(str(root), limits or Limits(), error)
        self._root = Path(root)
        try:
            for name, status in self._walk():
                self._check(name, status)
                self._add(name, status.st_size)
        except OSError as problem:
            raise self.refuse(f"The folder cannot be read: {problem}") from problem

    def _walk(self) -> Iterator[tuple[str, os.stat_result]]:
        folders, seen = [""], 0
        while folders:
            prefix = folders.pop()
            with os.scandir(self._root / prefix) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    self._check_name(name)
                    status = entry.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(status.st_mode):
                        yield name, status
                        continue
                    folders.append(f"{name}/")
                    seen += 1
                    if seen > self.limits.max_members:
                        raise self.refuse(f"There are more than {seen - 1:,} folders.")

    def _check(self, name: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise self.refuse(f"The member {name!r} is a link or a special file.")
        if status.st_nlink > 1:
            raise self.refuse(f"The member {name!r} is hard-linked to another file.")

    def close(self) -> None:
        """Do nothing: no file is held open."""

    def _read(self, name: str) -> bytes:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            with os.fdopen(os.open(self._root / name, flags), "rb") as stream:
                self._check(name, os.fstat(stream.fileno()))
                return stream.read(self._sizes[name] + 1)
        except OSError as problem:
            raise self.refuse(f"The member {name!r} cannot be read: {problem}") from problem


def open_archive(
    path: Path | str, limits: Limits | None = None, error: type[LeptaError] = DataError
) -> Archive:
    """Open a zip or a folder, whichever ``path`` is.

    Raises:
        LeptaError: of class ``error``; nothing is there, or it is refused.
    """
    where = Where(file=str(path))
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as problem:
        what = getattr(problem, "strerror", None) or problem
        raise error(f"It cannot be opened: {what}.", where=where, fix="Check the path.") from None
    if stat.S_ISDIR(mode):
        return SafeFolder(path, limits, error)
    if not stat.S_ISREG(mode):
        raise error("This is neither a file nor a folder.", where=where)
    return SafeZip(path, limits, error)
