"""Pieces of a bundle, fetched once: what came before a cut, or a kill, is not fetched again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lepta.core.errors import EdgeError, Where
from lepta.core.files import sha256
from lepta.edge.agent.link import Link, LinkError


class Downloads:
    """A folder of pieces by their SHA-256, those that are not whole yet under ``.part``.

    Args:
        folder: made where it is missing.
        link: line to the hub.
        stopped: whether to stop, asked after each piece.
    """

    def __init__(self, folder: Path, link: Link, stopped: Callable[[], bool]) -> None:
        self._folder, self._link, self._stopped = folder, link, stopped
        self._received = 0

    def fetch(self, digest: str, size: int) -> bytes:
        """Return the content of a digest, fetched as far as it is not here.

        Raises:
            LinkError: the line broke, and what came is kept; or the hub gave other bytes.
            EdgeError: the disk is full.
        """
        whole, part = self._folder / digest, self._folder / f"{digest}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not whole.exists():
                self._receive(digest, size, part)
                part.rename(whole)
            content = whole.read_bytes()
            if sha256(content) != digest:
                whole.unlink()
                raise LinkError(
                    f"The hub gave other bytes than those of {digest[:12]}.",
                    fix="Publish the bundle again.",
                )
            return content
        except OSError as error:
            raise EdgeError(
                f"A download cannot be kept: {error.strerror or error}.",
                where=Where(file=str(part)),
                fix="Check that the disk has room.",
            ) from error

    def clear(self) -> int:
        """Forget all pieces; return how many bytes came over the line for them."""
        shutil.rmtree(self._folder, ignore_errors=True)
        received, self._received = self._received, 0
        return received

    def _receive(self, digest: str, size: int, part: Path) -> None:
        with part.open("ab") as stream:
            begin = stream.tell()
            if begin > size:
                stream.truncate(0)
                begin = 0
            if begin == size:
                return
            for place, piece in self._link.fetch(digest, begin):
                if place != stream.tell():
                    stream.truncate(place)
                    stream.seek(place)
                if place + len(piece) > size:
                    stream.truncate(0)
                    raise LinkError(f"The hub gives more than the {size:,} bytes announced.")
                stream.write(piece)
                stream.flush()
                self._received += len(piece)
                if self._stopped():
                    raise LinkError("The agent is stopping.")
            if stream.tell() < size:
                raise LinkError("The line broke during a download.")
