"""Tell how a device is, or all devices of a hub; write the records that a hub has.

`missing` counts records that a device has sent and the hub does not have; it should be 0.

Examples:
  lepta edge status device                              # folder of a device
  lepta edge status fleet                               # folder of a hub
  lepta edge status https://hub.example.org --key-file key
  lepta edge status fleet --records > records.jsonl
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field as Option

from lepta.app.output import show, show_json, table
from lepta.core.config import Config
from lepta.core.events import Context

_COLUMNS = ("device", "version", "pending", "last", "dropped", "damaged")
_FLEET = ("device", "version", "published", "seen", "records", "pending", "dropped", "missing")


class Options(Config):
    """Options of ``lepta edge status``."""

    place: str = Option(
        description="Folder of a device, folder of a hub, or URL of a hub.",
        json_schema_extra={"positional": True, "metavar": "PLACE"},
    )
    key_file: Path | None = Option(
        default=None,
        description="File that holds the API key, for a URL.",
        json_schema_extra={"metavar": "FILE"},
    )
    records: bool = Option(
        default=False, description="Write the records of a hub's folder, one JSON line each."
    )
    device: str = Option(default="", description="Only the records of this device.")
    json_: bool = Option(default=False, alias="json", description="Print JSON.")


def run(options: Options, context: Context) -> int:
    """Print it."""
    from lepta.edge.agent import status
    from lepta.edge.agent.config import LinkConfig

    if options.records:
        _write_records(Path(options.place), options.device)
        return 0
    folder = Path(options.place)
    if status.is_device(folder):
        _tell([status.device_status(folder)], _COLUMNS, as_json=options.json_)
    else:
        link = LinkConfig(key_file=options.key_file)
        _tell(status.fleet_status(options.place, link), _FLEET, as_json=options.json_)
    return 0


def _write_records(folder: Path, device: str) -> None:
    from lepta.edge.agent.status import open_ledger

    ledger = open_ledger(folder)
    try:
        for record in ledger.records(device):
            show(json.dumps(record, ensure_ascii=False))
    finally:
        ledger.close()


def _tell(found: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    if not found:
        show("No device has been heard of yet.")
        return
    show(table(columns, [[_cell(name, row[name]) for name in columns] for row in found]))
    for row in found:
        for digest, reason in row["refused"].items():
            show(f"{row['device']} refuses {digest[:12]}: {reason}")


def _cell(name: str, value: Any) -> str:
    return str(value)[:12] if name in ("version", "published") else str(value)
