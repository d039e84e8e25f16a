"""Zip files of data: read member by member, never unpacked."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from lepta.core.archive import GIB, Limits, SafeZip

LIMITS = Limits(max_members=5_000_000, max_total=4096 * GIB, max_member=4 * GIB, max_ratio=1000.0)
"""What a zip file of training data may hold; blank images shrink far more than text does."""


class Archive:
    """A zip file, opened when first needed. Safe to use from many threads and after a fork.

    Raises:
        DataError: (by every method) it is no zip file, is damaged or holds unsafe members.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._opened: tuple[int, SafeZip] | None = None

    def _zip(self) -> SafeZip:
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = (os.getpid(), SafeZip(self.path, LIMITS))
            return self._opened[1]

    def __del__(self) -> None:
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[1].close()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all files in the archive."""
        return self._zip().names

    def __contains__(self, name: object) -> bool:
        return name in self._zip()

    def size(self, name: str) -> int:
        """Return the unpacked size of a member in bytes."""
        return self._zip().size(name)

    def read(self, name: str) -> bytes:
        """Return the content of a member."""
        return self._zip().read(name)
