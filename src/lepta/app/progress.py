"""Shows progress events on standard error: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from lepta.core.events import (
    Event,
    Message,
    Report,
    StageAdvanced,
    StageFinished,
    StageStarted,
)

_SHORT = 0.5
"""A stage that took fewer seconds leaves no line."""


class _Display(Protocol):
    def show(self, event: Event) -> None: ...
    def close(self) -> None: ...


@contextmanager
def reporter(*, quiet: bool = False, stream: TextIO | None = None) -> Iterator[Report]:
    """Give a function that shows events on ``stream`` (standard error) until the block ends.

    Bars need the package ``rich`` and a terminal. Events may come from any thread.
    """
    target = stream or sys.stderr
    display: _Display = Plain(target, quiet=quiet)
    if not quiet and target.isatty():
        display = _bars(target) or display
    lock = threading.Lock()

    def report(event: Event) -> None:
        with lock:
            display.show(event)

    try:
        yield report
    finally:
        with lock:
            display.close()


def _bars(stream: TextIO) -> _Display | None:
    try:
        import rich.progress  # noqa: F401
    except ModuleNotFoundError:
        return None
    return Bars(stream)


@dataclass
class _Running:
    """What plain output knows of a stage that runs."""

    start: StageStarted
    begun: float
    shown: float
    values: dict[str, float] = field(default_factory=dict)


class Plain:
    """Plain lines, at most one a second for each stage."""

    def __init__(self, stream: TextIO, *, quiet: bool = False, every: float = 1.0) -> None:
        self._stream, self._quiet, self._every = stream, quiet, every
        self._running: dict[str, _Running] = {}

    def show(self, event: Event) -> None:
        """Write a line for ``event`` where one is due."""
        if isinstance(event, Message):
            if event.level == "warning" or not self._quiet:
                self._write(_message(event))
        elif self._quiet:
            return
        elif isinstance(event, StageStarted):
            now = time.monotonic()
            self._running[event.stage] = _Running(event, now, now)
        elif isinstance(event, StageAdvanced):
            self._advance(event)
        else:
            self._finish(event)

    def close(self) -> None:
        """Nothing stays open."""

    def _advance(self, event: StageAdvanced) -> None:
        running = self._running.get(event.stage)
        if running is None:
            return
        now = time.monotonic()
        running.values.update(event.values)
        if now - running.shown < self._every:
            return
        running.shown = now
        total, elapsed = running.start.total, now - running.begun
        parts = [f"{event.stage}: {event.done}"]
        if total:
            left = elapsed / max(event.done, 1) * max(total - event.done, 0)
            parts = [f"{event.stage}: {event.done}/{total} {running.start.unit}"]
            parts.append(f"{duration(left)} left")
        notes = [event.note] if event.note else []
        self._write("  ".join([*parts, *_figures(running.values), *notes]))

    def _finish(self, event: StageFinished) -> None:
        running = self._running.pop(event.stage, None)
        if running is not None and event.seconds >= _SHORT:
            self._write(
                "  ".join([f"{event.stage}: {duration(event.seconds)}", *_figures(running.values)])
            )

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(f"{text.encode(encoding, 'replace').decode(encoding)}\n")
        self._stream.flush()


class Bars:
    """Bars with the time left and live values, drawn by rich; finished stages become lines."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False, markup=False)
        self._progress: Any = None
        self._tasks: dict[str, tuple[Any, dict[str, float]]] = {}

    def show(self, event: Event) -> None:
        """Draw ``event``."""
        if isinstance(event, Message):
            self._console.print(
                _message(event), style="yellow" if event.level == "warning" else None
            )
        elif isinstance(event, StageStarted):
            self._start(event)
        elif event.stage not in self._tasks:
            return
        elif isinstance(event, StageAdvanced):
            task, values = self._tasks[event.stage]
            values.update(event.values)
            figures = "  ".join([*_figures(values), event.note])
            self._bar().update(task, completed=event.done, figures=figures)
        else:
            self._finish(event)

    def close(self) -> None:
        """Stop drawing; the terminal is as before."""
        if self._progress is not None:
            for task, _ in self._tasks.values():
                self._progress.remove_task(task)
            self._progress.stop()

    def _start(self, event: StageStarted) -> None:
        if event.stage in self._tasks:
            self._bar().remove_task(self._tasks.pop(event.stage)[0])
        task = self._bar().add_task(event.stage, total=event.total, figures="", unit=event.unit)
        self._tasks[event.stage] = (task, {})

    def _finish(self, event: StageFinished) -> None:
        task, values = self._tasks.pop(event.stage)
        self._bar().remove_task(task)
        if event.seconds >= _SHORT:
            parts = [f"{event.stage}", duration(event.seconds), *_figures(values)]
            self._console.print("  ".join(parts), style="dim")

    def _bar(self) -> Any:
        if self._progress is None:
            from rich import progress

            self._progress = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(bar_width=28),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[unit]}", markup=False),
                progress.TimeRemainingColumn(),
                progress.TextColumn("{task.fields[figures]}", markup=False),
                console=self._console,
                transient=True,
            )
            self._progress.start()
        return self._progress


def duration(seconds: float) -> str:
    """Return a duration as a person says it: "0.4 s", "12 s", "3 min 05 s", "2 h 10 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _figures(values: dict[str, float]) -> list[str]:
    return [f"{name} {value:.4g}" for name, value in values.items()]


def _message(event: Message) -> str:
    return f"warning: {event.text}" if event.level == "warning" else event.text
