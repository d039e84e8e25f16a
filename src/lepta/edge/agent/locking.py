"""One agent at a time uses the folder of a device."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lepta.core.errors import EdgeError, Where


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
