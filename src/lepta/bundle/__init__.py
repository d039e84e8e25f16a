"""The artefact: read, audit, migrate, pack, sign."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepta.bundle.bundle import Bundle
    from lepta.bundle.manifest import (
        PROTOCOL,
        InputSpec,
        Lineage,
        Manifest,
        Measured,
        Signature,
        TensorSpec,
    )
    from lepta.core.archive import Limits

_HOMES = {
    "Bundle": "lepta.bundle.bundle",
    "InputSpec": "lepta.bundle.manifest",
    "Limits": "lepta.core.archive",
    "Lineage": "lepta.bundle.manifest",
    "Manifest": "lepta.bundle.manifest",
    "Measured": "lepta.bundle.manifest",
    "PROTOCOL": "lepta.bundle.manifest",
    "Signature": "lepta.bundle.manifest",
    "TensorSpec": "lepta.bundle.manifest",
}

__all__ = [
    "PROTOCOL",
    "Bundle",
    "InputSpec",
    "Limits",
    "Lineage",
    "Manifest",
    "Measured",
    "Signature",
    "TensorSpec",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
