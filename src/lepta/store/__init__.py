"""Experiments and the model registry, kept by MLflow behind one small interface."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepta.store.records import Model, ModelVersion, RunInfo
    from lepta.store.run import Run
    from lepta.store.store import Store

_HOMES = {
    "Model": "lepta.store.records",
    "ModelVersion": "lepta.store.records",
    "Run": "lepta.store.run",
    "RunInfo": "lepta.store.records",
    "Store": "lepta.store.store",
}

__all__ = ["Model", "ModelVersion", "Run", "RunInfo", "Store"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lepta.store' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
