"""Write a folder of files with which a model runs in a browser, wholly on the device."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.edge.browser.folder import write_browser
    from lepta.edge.browser.ortweb import PINNED, OrtWeb, find_ort_web

_HOMES = {
    "PINNED": "lepta.edge.browser.ortweb",
    "OrtWeb": "lepta.edge.browser.ortweb",
    "find_ort_web": "lepta.edge.browser.ortweb",
    "write_browser": "lepta.edge.browser.folder",
}

__all__ = ["PINNED", "OrtWeb", "find_ort_web", "write_browser"]


__getattr__ = lazy_names(__name__, _HOMES)
