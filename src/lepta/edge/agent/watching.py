"""Files that are laid into a folder are predicted, once each, and the answers laid beside them."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

from lepta.core.errors import ConfigError, DataError, EdgeError, InputError, LeptaError, Where
from lepta.core.files import atomic_write
from lepta.edge.agent.agent import Agent
from lepta.edge.agent.config import WatchConfig
from lepta.edge.agent.web import as_json, told
from lepta.runtime.received import media_field, rows_of

TABLES = (".csv", ".json", ".jsonl")
_UNFINISHED = (".tmp", ".part", ".crdownload")


class Watcher:
    """Predicts the files of a folder in the order of their names.

    A file counts once it has not changed for ``settle`` seconds; names that begin with "." or end
    in .tmp or .part are left alone. Its answer is OUTBOX/NAME.json; the file is then moved to
    INBOX/done, or to INBOX/failed with an answer that holds an ``error``. A kill in between leads
    to the same answer once more.

    Args:
        agent: what predicts.

    Raises:
        EdgeError: the folders cannot be made.
        ConfigError: no folder is to be watched.
    """

    def __init__(self, agent: Agent) -> None:
        config: WatchConfig = agent.config.watch
        if config.inbox is None:
            raise ConfigError("No folder is to be watched.", fix="Give --watch.inbox FOLDER.")
        self._agent, self._config = agent, config
        self._inbox = config.inbox
        self._outbox = config.outbox or self._inbox / "answers"
        self._seen: dict[str, tuple[int, int, float]] = {}
        try:
            for folder in (self._outbox, self._inbox / "done", self._inbox / "failed"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgeError(
                f"The folder cannot be watched: {error.strerror or error}.",
                where=Where(file=str(self._inbox)),
            ) from error

    def look(self) -> bool:
        """Predict every file that is ready; return whether to look again at once.

        Raises:
            EdgeError: there is no bundle yet, or an answer cannot be written; files stay.
        """
        if not self._agent.version:
            return False
        try:
            for path in self._ready():
                self._predict(path)
        except OSError as error:
            raise EdgeError(
                f"The folder that is watched cannot be used: {error.strerror or error}.",
                where=Where(file=str(error.filename or self._inbox)),
            ) from error
        return False

    def _ready(self) -> list[Path]:
        now, present, ready = time.monotonic(), {}, []
        for path in sorted(self._inbox.iterdir()):
            if path.name.startswith(".") or path.suffix in _UNFINISHED or path.is_symlink():
                continue
            if not path.is_file():
                continue
            status = path.stat()
            size, changed, since = self._seen.get(path.name, (-1, -1, now))
            if (size, changed) != (status.st_size, status.st_mtime_ns):
                since = now
            present[path.name] = (status.st_size, status.st_mtime_ns, since)
            if now - since >= self._config.settle:
                ready.append(path)
        self._seen = present
        return ready

    def _predict(self, path: Path) -> None:
        answer = self._outbox / f"{path.name}.json"
        try:
            document = self._answers(path)
            place = self._inbox / "done" if self._config.keep else None
        except LeptaError as error:
            document = {"error": told(error), "code": error.code}
            place = self._inbox / "failed"
        with atomic_write(answer) as stream:
            stream.write(as_json(document).body)
        if place is None:
            path.unlink()
        else:
            path.replace(place / path.name)

    def _answers(self, path: Path) -> dict[str, Any]:
        if path.suffix.lower() in TABLES:
            return self._agent.answer(read_table(path))
        signature = self._agent.signature
        if signature is None:
            raise EdgeError("This device has no bundle yet.")
        return self._agent.answer([{media_field(signature).name: path.read_bytes()}])


def read_table(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV file (first line: names; empty cells: missing), or of JSON lines.

    Raises:
        DataError: it is none, or not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return rows_of(json.loads(text))
        if path.suffix.lower() == ".jsonl":
            return rows_of([json.loads(line) for line in text.splitlines() if line.strip()])
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, ValueError, csv.Error, InputError) as error:
        raise DataError(
            f"The table cannot be read: {getattr(error, 'what', error)}",
            where=Where(file=path.name),
        ) from error
    return [
        {str(name): value or None for name, value in row.items() if name is not None}
        for row in rows
    ]
