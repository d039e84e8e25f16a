"""Progress events: long stages report, somebody else shows.

Nothing inside Lepta prints. A stage sends events to the ``report`` function of its
:class:`Context`; the command line draws bars from them, a notebook or a console its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Level = Literal["info", "warning"]


@dataclass(frozen=True)
class StageStarted:
    """A stage of work begins; ``total`` counts its units, None when unknown."""

    stage: str
    total: int | None = None
    unit: str = "it"


@dataclass(frozen=True)
class StageAdvanced:
    """``done`` units of a stage are finished.

    ``values`` are figures worth showing; ``note`` says in words what is done now, and why.
    """

    stage: str
    done: int
    values: dict[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class StageFinished:
    """A stage ended, ``seconds`` after it began."""

    stage: str
    seconds: float


@dataclass(frozen=True)
class Message:
    """Something a person should know."""

    text: str
    level: Level = "info"


Event = StageStarted | StageAdvanced | StageFinished | Message
Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """Show nothing."""


class Stage:
    """A running stage; use it as a context manager and call :meth:`advance`."""

    def __init__(self, report: Report, name: str, total: int | None, unit: str) -> None:
        self._report, self._name, self._total, self._unit = report, name, total, unit
        self._done = 0
        self._note = ""
        self._begin = 0.0

    def __enter__(self) -> Stage:
        self._begin = time.monotonic()
        self._report(StageStarted(self._name, self._total, self._unit))
        return self

    def __exit__(self, *exc: object) -> None:
        self._report(StageFinished(self._name, time.monotonic() - self._begin))

    def advance(self, step: int = 1, **values: float) -> None:
        """Say that ``step`` more units are done."""
        self._done += step
        self._report(StageAdvanced(self._name, self._done, dict(values), self._note))

    def note(self, text: str) -> None:
        """Say in words what is done from now on; it is shown with the next :meth:`advance`."""
        self._note = text


@dataclass(frozen=True)
class Context:
    """What every long stage is given: the seed, the reporter, the budget, the folder for caches.

    Attributes:
        seed: the one source of randomness.
        report: where progress events go.
        deadline: ``time.monotonic()`` at which work should be over, or None.
        cache: folder for decoded arrays; None means a folder chosen by ``data``.
        threads: threads a stage may use.
        choices: what was measured on this machine and then used, by what it was measured for;
            what stands here already is used as it is. A fit fills it, and its bundle keeps it.
        memo: what many fits over the same rows need alike (fitted preprocessing, prepared
            arrays), by what it was made from; None keeps nothing. See :meth:`once`.
    """

    seed: int = 0
    report: Report = silent
    deadline: float | None = None
    cache: Path | None = None
    threads: int | None = None
    choices: dict[str, str] = field(default_factory=dict, compare=False)
    memo: dict[Hashable, Any] | None = field(default=None, compare=False, repr=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return ``make()``, made once for each key where there is a :attr:`memo`."""
        if self.memo is None:
            return make()
        if key not in self.memo:
            self.memo[key] = make()
        found: T = self.memo[key]
        return found

    def stage(self, name: str, total: int | None = None, unit: str = "it") -> Stage:
        """Open a stage of ``total`` units."""
        return Stage(self.report, name, total, unit)

    def track(self, items: Iterable[T], name: str, total: int | None = None) -> Iterator[T]:
        """Yield ``items`` as a stage that advances by one after each."""
        with self.stage(name, total) as stage:
            for item in items:
                yield item
                stage.advance()

    def say(self, text: str, level: Level = "info") -> None:
        """Report a message."""
        self.report(Message(text, level))

    def seconds_left(self) -> float:
        """Seconds until the deadline; infinite without one, never negative."""
        if self.deadline is None:
            return float("inf")
        return max(0.0, self.deadline - time.monotonic())

    def share(self, parts: int) -> Context:
        """Return a context that ends after one of ``parts`` equal parts of the time left."""
        if self.deadline is None:
            return self
        return replace(self, deadline=time.monotonic() + self.seconds_left() / parts)
