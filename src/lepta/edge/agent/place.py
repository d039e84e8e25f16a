"""The folder of a device: used by one agent at a time, and named."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from lepta.core.errors import ConfigError, EdgeError, Where
from lepta.core.files import write_text
from lepta.edge.agent.messages import check_device

DEVICE_FILE, SPOOL_FOLDER = "device.json", "spool"


def lock_folder(folder: Path) -> Callable[[], None]:
    """Lock a folder, made where it is missing, and return what unlocks it.

    The system unlocks it when the process ends, however it ends.

    Raises:
        EdgeError: another process holds the lock, or the folder cannot be used.
    """
    where = Where(file=str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EdgeError(
            f"The folder of the device cannot be used: {error.strerror or error}.", where=where
        ) from error
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ModuleNotFoundError:
        pass  # Windows has none
    except OSError as error:
        os.close(handle)
        raise EdgeError(
            "Another agent uses this folder.",
            where=where,
            fix="Stop it, or give each device a folder of its own.",
        ) from error
    return lambda: os.close(handle)


def sweep(folder: Path) -> None:
    """Delete the temporary files that a killed agent left; call it under the lock."""
    for place in (folder, folder / SPOOL_FOLDER):
        for path in place.glob(".*.tmp"):
            if path.is_file():
                path.unlink(missing_ok=True)


def device_name(folder: Path, wanted: str) -> str:
    """Return the name of the device, kept in its folder; made up where none is wanted.

    Raises:
        ConfigError: the folder belongs to a device of another name.
        EdgeError: the file is damaged.
    """
    path = folder / DEVICE_FILE
    if not path.exists():
        name = check_device(wanted or f"device-{secrets.token_hex(6)}")
        write_text(path, json.dumps({"device": name}))
        return name
    try:
        name = check_device(json.loads(path.read_bytes())["device"])
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise EdgeError(
            "The name of the device cannot be read.",
            where=Where(file=str(path)),
            fix="Delete the file to name the device anew.",
        ) from error
    if wanted not in ("", name):
        raise ConfigError(
            f"This folder belongs to the device {name!r}, not {wanted!r}.",
            where=Where(file=str(path)),
            fix="Give another folder, or leave --device out.",
        )
    return name
