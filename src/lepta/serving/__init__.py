"""Serve bundles over HTTP (Open Inference Protocol v2 and a plain JSON path), and call them."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.serving.client import Client, connect
    from lepta.serving.config import ServeConfig
    from lepta.serving.process import Running, start
    from lepta.serving.service import serve

_HOMES = {
    "Client": "lepta.serving.client",
    "Running": "lepta.serving.process",
    "ServeConfig": "lepta.serving.config",
    "connect": "lepta.serving.client",
    "serve": "lepta.serving.service",
    "start": "lepta.serving.process",
}

__all__ = ["Client", "Running", "ServeConfig", "connect", "serve", "start"]


__getattr__ = lazy_names(__name__, _HOMES)
