"""From progress events to trackers: what trains reports, and never waits."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from lepta.core.errors import LeptaError
from lepta.core.events import Context, Event, StageAdvanced, StageStarted
from lepta.store.trackers.base import TRACKERS, Figure, Plan, Status, Tracker, words

_PAUSE = 1.0
"""Seconds between two batches."""


def tracking(
    names: str | Sequence[str],
    plan: Plan,
    *,
    context: Context | None = None,
    required: bool = True,
) -> Tracked:
    """Begin a run with the trackers called ``names``; use it as a context manager.

    Args:
        names: of :data:`TRACKERS`: "mlflow,wandb", or a sequence; none is fine.
        plan: what is known of the run.
        context: its reporter goes on to get every event.
        required: whether a tracker that cannot begin is an error, instead of a warning.

    Raises:
        ConfigError: there is no such tracker.
        MissingExtraError: its library is not installed.
        StoreError: it cannot write.
    """
    context = context or Context()
    trackers: dict[str, Tracker] = {}
    for name in words(names):
        kind = TRACKERS.get(name)
        try:
            trackers[name] = kind(plan, context)
        except BaseException as error:
            if not required and isinstance(error, LeptaError):
                context.say(f"The run is not kept in {name}: {error.what}", "warning")
                continue
            for begun in trackers.values():
                begun.end("failed")
            raise
    return Tracked(trackers, context)


class Tracked:
    """A run that is tracked.

    Attributes:
        context: give this one to what trains. Each event goes on to the reporter at once; the
            values of a stage's progress ("loss") are put aside, and a thread of their own brings
            them to the trackers about once a second.

    A tracker that fails is left out with a warning: training goes on. A block that raises leaves
    the run "failed" (Ctrl-C: "killed"), with everything logged before.
    """

    def __init__(self, trackers: Mapping[str, Tracker], context: Context) -> None:
        self.context = replace(context, report=self._report) if trackers else context
        self._trackers = dict(trackers)
        self._outer = context
        self._waiting: deque[Figure] = deque()
        self._stages: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._writer = threading.Thread(target=self._write_on, name="trackers", daemon=True)

    def _report(self, event: Event) -> None:
        self._outer.report(event)
        if isinstance(event, StageStarted):
            self._stages[event.stage] += 1
        elif isinstance(event, StageAdvanced) and event.values:
            now, nth = time.time(), self._stages[event.stage]
            stage = event.stage if nth < 2 else f"{event.stage} {nth}"
            for name, value in event.values.items():
                self._waiting.append(Figure(f"{stage}/{name}", float(value), event.done, now))

    def finish(self, metrics: Mapping[str, float], params: Mapping[str, Any] | None = None) -> None:
        """Keep the final metrics, and options that were chosen on the way."""
        self._flush()
        self._each(lambda tracker: tracker.finish(metrics, params or {}))

    def keep(self, name: str, bundle: Path | str) -> list[str]:
        """Keep the bundle file as the next version of the model ``name``; say where it is.

        Raises:
            StoreError: a tracker cannot keep it.
        """
        with self._lock:
            lines = [tracker.keep(name, Path(bundle)) for tracker in self._trackers.values()]
        return [line for line in lines if line]

    def __enter__(self) -> Tracked:
        if self._trackers:
            self._writer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status: Status = "finished"
        if kind is not None:
            status = "killed" if issubclass(kind, KeyboardInterrupt) else "failed"
        self._end.set()
        if self._writer.is_alive():
            self._writer.join()
        self._flush()
        self._each(lambda tracker: tracker.end(status))

    def _write_on(self) -> None:
        while not self._end.wait(_PAUSE):
            self._flush()

    def _flush(self) -> None:
        with self._lock:  # two threads come here
            figures = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if figures:
            self._each(lambda tracker: tracker.log(figures))

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                with self._lock:
                    action(tracker)
            except Exception as error:  # whatever a tracker raises, training goes on
                self._trackers.pop(name, None)
                what = getattr(error, "what", None) or f"{type(error).__name__}: {error}"
                self._outer.say(f"The run is no longer kept in {name}: {what}", "warning")
