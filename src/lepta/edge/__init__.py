"""Write a bundle in the form that a device needs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepta.edge.exporters import EXPORTERS, export

_HOMES = {"EXPORTERS": "lepta.edge.exporters", "export": "lepta.edge.exporters"}

__all__ = ["EXPORTERS", "export"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
