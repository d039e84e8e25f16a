"""What a hub knows of its fleet, in SQLite: every record once, whatever was sent twice."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lepta.core.errors import EdgeError, Where
from lepta.edge.agent.messages import Delivery, Receipt

_TABLES = """
CREATE TABLE IF NOT EXISTS records (
  device TEXT NOT NULL, spool TEXT NOT NULL, seq INTEGER NOT NULL,
  received TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (device, spool, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS devices (
  device TEXT PRIMARY KEY, spool TEXT NOT NULL, seen TEXT NOT NULL, version TEXT NOT NULL,
  pending INTEGER NOT NULL, last INTEGER NOT NULL, dropped INTEGER NOT NULL,
  damaged INTEGER NOT NULL, refused TEXT NOT NULL,
  repeated INTEGER NOT NULL DEFAULT 0, conflicts INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
"""
_SEEN = """
INSERT INTO devices (device, spool, seen, version, pending, last, dropped, damaged, refused)
VALUES (:device, :spool, :seen, :version, :pending, :last, :dropped, :damaged, :refused)
ON CONFLICT (device) DO UPDATE SET spool = :spool, seen = :seen, version = :version,
  pending = :pending, last = :last, dropped = :dropped, damaged = :damaged, refused = :refused
"""


class Ledger:
    """Records and devices. Safe to use from many threads; what is taken is on the disk.

    Args:
        path: of the database; made where it is missing.

    Raises:
        EdgeError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._base.row_factory = sqlite3.Row
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.executescript(_TABLES)
        except sqlite3.Error as error:
            raise EdgeError(
                f"The records of the hub cannot be opened: {error}.",
                where=Where(file=str(path)),
                fix="Check that the folder is yours, or move the file away to begin a new one.",
            ) from error

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._base.close()

    def take(self, delivery: Delivery) -> Receipt:
        """Keep the records that are new, and how the device is, in one transaction."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        seen = delivery.model_dump(exclude={"records", "refused"})
        seen |= {"seen": now, "refused": json.dumps(delivery.refused)}
        new = known = conflicts = 0
        with self._lock, self._base:
            self._base.execute("BEGIN IMMEDIATE")
            for seq, record in delivery.records:
                key = (delivery.device, delivery.spool, seq)
                body = json.dumps(record, ensure_ascii=False, sort_keys=True)
                done = self._base.execute(
                    "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?)", (*key, now, body)
                )
                new += done.rowcount
                if not done.rowcount:
                    known += 1
                    conflicts += self._body(key) != body
            self._base.execute(_SEEN, seen)
            self._base.execute(
                "UPDATE devices SET repeated = repeated + ?, conflicts = conflicts + ? "
                "WHERE device = ?",
                (known, conflicts, delivery.device),
            )
        through = max((seq for seq, _ in delivery.records), default=0)
        return Receipt(through=through, new=new, known=known)

    def _body(self, key: tuple[str, str, int]) -> str:
        query = "SELECT body FROM records WHERE device = ? AND spool = ? AND seq = ?"
        return str(self._base.execute(query, key).fetchone()[0])

    def devices(self) -> list[dict[str, Any]]:
        """Return how each device was when it was last heard of, by name.

        ``records`` counts what the hub has of its present spool, ``missing`` what it should have
        and has not: neither waiting, dropped nor damaged.
        """
        query = (
            "SELECT devices.*, (SELECT count(*) FROM records WHERE records.device = devices.device "
            "AND records.spool = devices.spool) AS records FROM devices ORDER BY device"
        )
        with self._lock:
            rows = [dict(row) for row in self._base.execute(query)]
        for row in rows:
            row["refused"] = json.loads(row["refused"])
            away = row["pending"] + row["dropped"] + row["damaged"]
            row["missing"] = max(0, row["last"] - row["records"] - away)
        return rows

    def records(self, device: str = "") -> Iterator[dict[str, Any]]:
        """Yield the records of a device, or of all, in the order of devices, spools and numbers.

        Each is ``{"device", "spool", "seq", "received", "record"}``.
        """
        last = ("", "", 0)
        query = (
            "SELECT * FROM records WHERE (device, spool, seq) > (?, ?, ?) AND (? = '' OR "
            "device = ?) ORDER BY device, spool, seq LIMIT 1000"
        )
        while True:
            with self._lock:
                rows = self._base.execute(query, (*last, device, device)).fetchall()
            yield from map(_plain, rows)
            if not rows:
                return
            last = (rows[-1]["device"], rows[-1]["spool"], rows[-1]["seq"])


def _plain(row: sqlite3.Row) -> dict[str, Any]:
    found = dict(row)
    body = json.loads(found.pop("body"))
    return found | {"record": body}
