"""Experiments and the model registry, kept by MLflow behind one small interface."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.store.records import Model, ModelVersion, RunInfo
    from lepta.store.run import Run
    from lepta.store.store import Store
    from lepta.store.trackers import Plan, Tracked, tracking

_HOMES = {
    "Model": "lepta.store.records",
    "ModelVersion": "lepta.store.records",
    "Plan": "lepta.store.trackers",
    "Run": "lepta.store.run",
    "RunInfo": "lepta.store.records",
    "Store": "lepta.store.store",
    "Tracked": "lepta.store.trackers",
    "tracking": "lepta.store.trackers",
}

__all__ = ["Model", "ModelVersion", "Plan", "Run", "RunInfo", "Store", "Tracked", "tracking"]


__getattr__ = lazy_names(__name__, _HOMES)
