"""Each trial of a study as a run of its own in the store, written while others train."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from lepta.core.errors import LeptaError
from lepta.core.events import Context
from lepta.store import Plan, tracking

if TYPE_CHECKING:
    from lepta.tuning.study import Record


class Ledger:
    """A thread that brings trials to trackers; use it as a context manager.

    A tracker that fails is told once, and the study goes on.

    Args:
        names: of the trackers.
        plan: of the study; its trials belong to the same experiment.
        context: where warnings go.
    """

    def __init__(self, names: str | Sequence[str], plan: Plan, context: Context) -> None:
        self._names, self._plan, self._context = names, plan, context
        self._waiting: SimpleQueue[tuple[Record, str] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)

    def keep(self, record: Record, metric: str) -> None:
        """Keep a trial that has ended; returns at once."""
        self._waiting.put((record, metric))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _write(self) -> None:
        failed = False
        while (item := self._waiting.get()) is not None:
            if failed:
                continue
            try:
                self._keep(*item)
            except LeptaError as error:
                failed = True
                self._context.say(f"Trials are no longer kept: {error.what}", "warning")

    def _keep(self, record: Record, metric: str) -> None:
        facts: dict[str, Any] = {"trial": record.number, "state": record.state, "why": record.why}
        name = f"{self._plan.name} trial {record.number}"
        plan = replace(self._plan, name=name, params={**record.params, **facts})
        values = {key: record.facts[key] for key in ("seconds", "cpu_seconds")}
        if "score" in record.facts:
            values[metric] = record.facts["score"]
        quiet = replace(self._context, report=lambda event: None)
        with tracking(self._names, plan, context=quiet) as run:
            run.finish(values)
