"""What workers of a search do alike, wherever they run: who does which call, and how it ended."""

from __future__ import annotations

import pickle
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from lepta.engine.launch import job_of
from lepta.engine.messages import Died
from lepta.engine.trial_messages import Asked, Call, News, Order, Raised, Reply, Returned
from lepta.engine.trial_process import cancelled, finished_of, lost
from lepta.engine.trials import Answer, Finished


@dataclass
class _Running:
    """A call that a worker does."""

    key: int
    since: float
    cancelled: bool = False


class Seated(ABC):
    """Workers on numbered seats.

    Args:
        seats: how many.
        answer: answers what calls ask through a :class:`~lepta.engine.trials.Line`; it is called
            by :meth:`wait` with the key and the question.
    """

    def __init__(self, seats: int, answer: Answer | None) -> None:
        self._seats, self._answer = range(seats), answer
        self._running: dict[int, _Running] = {}

    @property
    def idle(self) -> int:
        return len(self._seats) - len(self._running)

    def submit(self, key: int, function: Callable[..., Any], *arguments: Any) -> None:
        if any(running.key == key for running in self._running.values()):
            raise ValueError(f"the key {key} is in use")
        free = [seat for seat in self._seats if seat not in self._running]
        if not free:
            raise ValueError("no worker is idle")
        call = Call(job_of(function, arguments))
        seat = self._choose(free)
        self._running[seat] = _Running(key, time.monotonic())
        self._send(seat, call)

    def wait(self, timeout: float | None = None) -> list[Finished]:
        until = None if timeout is None else time.monotonic() + timeout
        while self._running:
            left = None if until is None else max(0.0, until - time.monotonic())
            ended = [
                one
                for seat, news in self._listen(list(self._running), left)
                if (one := self._hear(seat, news)) is not None
            ]
            if ended or (until is not None and time.monotonic() >= until):
                return ended
        return []

    def cancel(self, key: int) -> None:
        for seat, running in self._running.items():
            if running.key == key:
                running.cancelled = True
                self._kill(seat)

    @abstractmethod
    def close(self) -> None:
        """End all workers at once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @abstractmethod
    def _choose(self, free: list[int]) -> int:
        """Return the seat of a living worker, starting one where all have died."""

    @abstractmethod
    def _send(self, seat: int, order: Order) -> None:
        """Tell a worker something."""

    @abstractmethod
    def _listen(self, seats: list[int], seconds: float | None) -> list[tuple[int, News]]:
        """Return what workers on these seats said; wait for something at most so long."""

    @abstractmethod
    def _kill(self, seat: int) -> None:
        """Kill a worker."""

    @abstractmethod
    def _renew(self, seat: int) -> None:
        """Put a new worker on a seat."""

    def _hear(self, seat: int, news: News) -> Finished | None:
        """Take what a busy worker said; return the end of its call, if that is what it is."""
        running = self._running[seat]
        if isinstance(news, Asked):
            if not running.cancelled:
                self._send(seat, self._reply(news, running.key))
            return None
        del self._running[seat]
        ended = _end(running, news)
        if running.cancelled or _unfit(news):
            self._renew(seat)
        return ended

    def _reply(self, news: Asked, key: int) -> Reply:
        question = pickle.loads(news.value)  # noqa: S301
        return Reply(pickle.dumps(None if self._answer is None else self._answer(key, question)))


def _end(running: _Running, news: News) -> Finished:
    """Return the end of a call from the last that its worker said."""
    key, seconds = running.key, time.monotonic() - running.since
    if running.cancelled:
        return Finished(key, error=cancelled(), seconds=seconds)
    if isinstance(news, Returned):
        try:
            value = pickle.loads(news.value)  # noqa: S301
        except Exception as error:
            return Finished(key, None, error, news.seconds, news.cpu_seconds)
        return Finished(key, value, None, news.seconds, news.cpu_seconds)
    if isinstance(news, Raised):
        return finished_of(key, news)
    assert isinstance(news, Died)  # noqa: S101
    return Finished(key, error=lost(news.reason), seconds=seconds)


def _unfit(news: News) -> bool:
    """Return whether a worker that said this is to be replaced."""
    if isinstance(news, Raised):
        return news.setup or news.text.rstrip().splitlines()[-1].startswith("MemoryError")
    return isinstance(news, Died)
