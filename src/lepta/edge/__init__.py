"""Write a bundle in the form that a device needs."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.edge.exporters import EXPORTERS, export

_HOMES = {"EXPORTERS": "lepta.edge.exporters", "export": "lepta.edge.exporters"}

__all__ = ["EXPORTERS", "export"]


__getattr__ = lazy_names(__name__, _HOMES)
