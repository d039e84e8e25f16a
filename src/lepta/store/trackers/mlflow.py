"""Runs in MLflow: the project's store, or the server that the environment names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lepta.core.events import Context
from lepta.store.store import Store
from lepta.store.trackers.base import Figure, Plan, Status


class MlflowTracker:
    """A run of the store; see :class:`lepta.store.Run`, which writes in batches."""

    def __init__(self, plan: Plan, context: Context) -> None:
        self._store = Store(plan.folder, context=context)
        self._run = self._store.run(plan.experiment, name=plan.name, params=plan.params)

    def log(self, figures: Sequence[Figure]) -> None:
        self._run.log_all((f.name, f.value, int(f.time * 1000), f.step) for f in figures)
        self._run.flush()

    def finish(self, metrics: Mapping[str, float], params: Mapping[str, Any]) -> None:
        self._run.log_params(params)
        self._run.log(metrics)
        self._run.flush()

    def keep(self, name: str, bundle: Path) -> str:
        self._run.log_bundle(bundle)
        version = self._store.register(name, bundle, run=self._run)
        return f"{name}@{version.version} (`lepta runs`, `lepta models`)"

    def end(self, status: Status) -> None:
        self._run.end(status)
