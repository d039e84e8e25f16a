"""The artefact: read, audit, migrate, pack, sign."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

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


__getattr__ = lazy_names(__name__, _HOMES)
