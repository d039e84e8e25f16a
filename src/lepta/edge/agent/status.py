"""How a device or a fleet is, read from a folder or asked of a hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lepta.core.errors import EdgeError, Where
from lepta.edge.agent.config import LinkConfig
from lepta.edge.agent.hub import RECORDS_FILE
from lepta.edge.agent.ledger import Ledger
from lepta.edge.agent.link import Link
from lepta.edge.agent.place import DEVICE_FILE, SPOOL_FOLDER
from lepta.edge.agent.publishing import releases
from lepta.edge.agent.spool import read_records, read_state
from lepta.edge.agent.versions import Versions


def is_device(folder: Path) -> bool:
    """Whether an agent has run in a folder."""
    return (folder / DEVICE_FILE).is_file()


def device_status(folder: Path) -> dict[str, Any]:
    """Return how a device is, also while its agent runs.

    The keys are those of :class:`~lepta.edge.agent.messages.Health`, and ``previous`` and
    ``trial`` of the version.

    Raises:
        EdgeError: a file of the folder is damaged.
    """
    try:
        device = str(json.loads((folder / DEVICE_FILE).read_bytes())["device"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EdgeError(
            "No agent has run in this folder.",
            where=Where(file=str(folder)),
            fix="Give the folder of a device, or the folder or the URL of a hub.",
        ) from error
    versions, state = Versions(folder), read_state(folder / SPOOL_FOLDER)
    numbers = [record.seq for record in read_records(folder / SPOOL_FOLDER)]
    gone = state.gone if state else 0
    return {
        "device": device,
        "spool": state.spool if state else "",
        "version": versions.pointer.current,
        "previous": versions.pointer.previous,
        "trial": versions.pointer.trial,
        "pending": sum(number > gone for number in numbers),
        "last": max([gone, *numbers]),
        "dropped": state.dropped if state else 0,
        "damaged": len(state.damaged) if state else 0,
        "refused": versions.refused,
    }


def fleet_status(hub: Path | str, link: LinkConfig | None = None) -> list[dict[str, Any]]:
    """Return the devices of a hub; see :meth:`lepta.edge.agent.hub.Hub.devices`.

    Args:
        hub: its folder, or its URL.
        link: how it is reached, where it is a URL.

    Raises:
        EdgeError: it does not answer, or the folder is none of a hub.
    """
    if str(hub).startswith(("http://", "https://")):
        options = (link or LinkConfig()).model_copy(update={"url": str(hub)})
        found: list[dict[str, Any]] = json.loads(Link(options).fleet())["devices"]
        return found
    ledger = open_ledger(Path(hub))
    try:
        published = releases(Path(hub))
        return [d | {"published": published.of(d["device"]).digest} for d in ledger.devices()]
    finally:
        ledger.close()


def open_ledger(folder: Path) -> Ledger:
    """Open the records of a hub, also while it runs.

    Raises:
        EdgeError: no hub has run there.
    """
    path = folder / RECORDS_FILE
    if not path.is_file():
        raise EdgeError(
            "Neither an agent nor a hub has run in this folder.",
            where=Where(file=str(folder)),
            fix="Give the folder of a device, or the folder or the URL of a hub.",
        )
    return Ledger(path)
