"""Where the files of a media field are: beside the table, or inside a zip that lies there."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from lepta.core.errors import DataError, Where, suggest
from lepta.core.events import Context
from lepta.data.archives import Archive

_Place = Path | tuple[Archive, str]
FIX = (
    "Paths are taken relative to the folder of the table, or inside a zip file beside it; "
    "put the files there, or correct the paths."
)


class Files:
    """The files that a table refers to. Safe to use from many threads.

    A path is looked for as it stands, then relative to ``root``, then inside each archive: a
    member of that very name, or the only member whose path ends with it.

    Args:
        root: folder of the table; None for a table that lives in memory.
        archives: zip files to look into; by default every ``*.zip`` in ``root``.
    """

    def __init__(self, root: Path | None = None, archives: Iterable[Path] | None = None) -> None:
        self.root = root
        self._paths = None if archives is None else tuple(archives)
        self._lock = threading.Lock()
        self._archives: tuple[Archive, ...] | None = None
        self._tails: dict[str, list[tuple[Archive, str]]] | None = None
        self._digests: dict[tuple[Any, ...], str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "_paths": self._paths}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["root"], state["_paths"])  # type: ignore[misc]

    @property
    def archives(self) -> tuple[Archive, ...]:
        """The archives that are searched."""
        with self._lock:
            if self._archives is None:
                self._archives = tuple(Archive(path) for path in self._archive_paths())
            return self._archives

    def _archive_paths(self) -> tuple[Path, ...]:
        if self._paths is not None:
            return self._paths
        return () if self.root is None else tuple(sorted(self.root.glob("*.zip")))

    def _by_tail(self) -> dict[str, list[tuple[Archive, str]]]:
        if self._tails is None:
            tails = defaultdict(list)
            for archive in self.archives:
                for name in archive.names:
                    tails[PurePosixPath(name).name].append((archive, name))
            self._tails = dict(tails)
        return self._tails

    def _find(self, path: str) -> _Place | None:
        if not path or "\0" in path:
            return None
        here = Path(path)
        local = here if here.is_absolute() or self.root is None else self.root / here
        return local if _is_there(local) else self._find_member(path)

    def _find_member(self, path: str) -> _Place | None:
        wanted = PurePosixPath(path.replace("\\", "/")).as_posix().removeprefix("./")
        for archive in self.archives:
            if wanted in archive:
                return archive, wanted
        same_name = self._by_tail().get(PurePosixPath(wanted).name, [])
        found = [place for place in same_name if place[1].endswith("/" + wanted)]
        return found[0] if len(found) == 1 else None

    def locate(self, path: str, where: Where | None = None) -> _Place:
        """Return the file or folder on disk, or the archive and member, that ``path`` means.

        Raises:
            DataError: there is no such file.
        """
        place = self._find(str(path))
        if place is None:
            raise DataError(
                f"The file {str(path)!r} is missing.{self._near(str(path))}",
                where=_at(str(path), where),
                fix=FIX,
            )
        return place

    def _near(self, path: str) -> str:
        name = PurePosixPath(path.replace("\\", "/"))
        names = list(self._by_tail())[:5000]
        folder = (self.root or Path()) / name.parent
        if folder.is_dir():
            names += [entry.name for entry in list(folder.iterdir())[:5000]]
        return suggest(name.name, names)

    def exists(self, path: str) -> bool:
        """Whether ``path`` is a file or a folder that can be found."""
        return self._find(str(path)) is not None

    def is_folder(self, path: str) -> bool:
        """Whether ``path`` is a folder, on disk or inside an archive."""
        place = self._find(str(path))
        return place.is_dir() if isinstance(place, Path) else bool(self._members_under(str(path)))

    def size(self, path: str) -> int:
        """Return the size of a file in bytes; of a folder, of all files in it."""
        if self.is_folder(path):
            return sum(self.size(name) for name in self.listing(path))
        place = self.locate(path)
        return place.stat().st_size if isinstance(place, Path) else place[0].size(place[1])

    def read(self, path: str, where: Where | None = None) -> bytes:
        """Return the content of a file.

        Raises:
            DataError: the file is missing, unreadable, or larger than an archive may hold.
        """
        place = self.locate(path, where)
        if not isinstance(place, Path):
            return place[0].read(place[1])
        try:
            return place.read_bytes()
        except OSError as error:
            raise DataError(
                f"The file cannot be read: {error.strerror or error}.",
                where=_at(str(place), where),
                fix="Check that it is a file and that you may read it.",
            ) from error

    def listing(self, path: str) -> tuple[str, ...]:
        """Return the paths of the files directly in a folder, sorted.

        Raises:
            DataError: there is no such folder.
        """
        place = self._find(path)
        if isinstance(place, Path) and place.is_dir():
            return tuple(sorted(str(Path(path) / f.name) for f in place.iterdir() if f.is_file()))
        members = self._members_under(path)
        if not members:
            raise DataError(f"The folder {path!r} is missing.", where=Where(file=path), fix=FIX)
        return members

    def _members_under(self, path: str) -> tuple[str, ...]:
        prefix = path.rstrip("/") + "/"
        return tuple(
            sorted(
                name
                for archive in self.archives
                for name in archive.names
                if name.startswith(prefix) and "/" not in name[len(prefix) :]
            )
        )

    def digest(self, path: str) -> str:
        """Return the SHA-256 of a file's content, remembered; of a folder, of all its files."""
        if self.is_folder(path):
            parts = [self.digest(name) for name in self.listing(path)]
            return hashlib.sha256("".join(parts).encode()).hexdigest()
        key = self._identity(path)
        if key not in self._digests:
            self._digests[key] = hashlib.sha256(self.read(path)).hexdigest()
        return self._digests[key]

    def _identity(self, path: str) -> tuple[Any, ...]:
        place = self.locate(path)
        if isinstance(place, Path):
            status = place.stat()
            return (str(place), status.st_size, status.st_mtime_ns)
        return (str(place[0].path), place[1])

    def digests(self, paths: Iterable[str], context: Context) -> list[str]:
        """Return the SHA-256 of many files, hashed in parallel, with progress."""
        wanted = list(paths)
        unique = list(dict.fromkeys(wanted))
        with ThreadPoolExecutor(context.threads or os.cpu_count() or 1) as pool:
            hashed = pool.map(self.digest, unique)
            known = dict(
                zip(unique, context.track(hashed, "Hashing files", len(unique)), strict=True)
            )
        return [known[path] for path in wanted]


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _at(path: str, where: Where | None) -> Where:
    return Where(file=path, row=where.row, field=where.field) if where else Where(file=path)
