"""Experiments and the model registry, kept by MLflow behind one small interface."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

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


__getattr__ = lazy_names(__name__, _HOMES)
