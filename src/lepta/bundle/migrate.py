"""Read manifests of every protocol that was ever released."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lepta.bundle import manifest as current
from lepta.core.errors import BundleError

Document = dict[str, Any]

MIGRATIONS: dict[int, Callable[[Document], Document]] = {}
"""For protocol n, what turns its manifest into one of protocol n + 1. Kept for ever."""


def migrate(document: Document) -> Document:
    """Return ``document`` in the protocol of today.

    Raises:
        BundleError: it is no manifest, or of a protocol newer than this version of Lepta.
    """
    if document.get("format") != "lepta":
        raise BundleError("This is not a Lepta bundle: its manifest is of another format.")
    protocol = document.get("protocol")
    if type(protocol) is not int or protocol < 1:
        raise BundleError(f"The manifest names no valid protocol (got {protocol!r}).")
    if protocol > current.PROTOCOL:
        raise BundleError(
            f"The bundle was written by a newer Lepta (protocol {protocol}; this version reads "
            f"up to {current.PROTOCOL}).",
            fix="pip install --upgrade lepta",
        )
    for step in range(protocol, current.PROTOCOL):
        document = {**MIGRATIONS[step](document), "protocol": step + 1}
    return document
