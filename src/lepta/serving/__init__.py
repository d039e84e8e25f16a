"""Serve bundles over HTTP (Open Inference Protocol v2 and a plain JSON path), and call them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
