"""Workers of a search as processes of this machine."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Self

from lepta.engine.launch import about_here, job_of
from lepta.engine.limits import allowed_cores, numa_nodes, usable_cores, usable_memory
from lepta.engine.messages import Died
from lepta.engine.trial_messages import Asked, Begin, Call, News, Raised, Reply, Returned
from lepta.engine.trial_process import TrialProcess, cancelled, finished_of, lost
from lepta.engine.trials import Answer, Finished

_SHARE = 0.9
"""Part of the memory that all workers together may take where nothing else is said."""


@dataclass
class _Seat:
    """A worker's place: its process, if it has one, and the call that it does."""

    begin: Begin
    process: TrialProcess | None = None
    key: int | None = None
    since: float = 0.0
    cancelled: bool = False


class LocalTrials:
    """Processes that live as long as the search; one that dies is replaced.

    Each is started afresh (no fork), is pinned to cores of its own where there are enough, leads
    a process group, and ends with this process however that ends.

    Args:
        setup: makes the state of each worker; can be imported by its name.
        arguments: of ``setup``.
        workers: how many; None for one on each ``threads`` usable cores.
        threads: of each.
        memory: bytes that each may hold for itself (files mapped into memory do not count); a call
            over it fails. None shares out nine tenths of what there is, 0 sets no limit.
        answer: answers what calls ask through a :class:`~lepta.engine.trials.Line`; it is called
            by :meth:`wait` with the key and the question.

    Raises:
        ConfigError: setup or arguments cannot be pickled.
        OSError: the system refuses more processes.
    """

    def __init__(
        self,
        setup: Callable[..., Any],
        arguments: Sequence[Any] = (),
        *,
        workers: int | None = None,
        threads: int = 1,
        memory: int | None = None,
        answer: Answer | None = None,
    ) -> None:
        count = workers or max(1, usable_cores() // threads)
        if memory is None:
            memory = int(_SHARE * usable_memory() / count)
        about, job = about_here(), job_of(setup, tuple(arguments))
        pins = cores_of(count, threads)
        self._seats = [_Seat(Begin(about, job, threads, cores, memory)) for cores in pins]
        self._answer = answer
        try:
            for seat in self._seats:
                seat.process = TrialProcess(seat.begin)
        except BaseException:
            self.close()
            raise

    @property
    def idle(self) -> int:
        return sum(seat.key is None for seat in self._seats)

    @property
    def pids(self) -> list[int]:
        """The numbers of the workers' processes."""
        return [seat.process.pid for seat in self._seats if seat.process is not None]

    def submit(self, key: int, function: Callable[..., Any], *arguments: Any) -> None:
        if any(seat.key == key for seat in self._seats):
            raise ValueError(f"the key {key} is in use")
        self._bury_idle()
        free = [seat for seat in self._seats if seat.key is None]
        if not free:
            raise ValueError("no worker is idle")
        call = Call(job_of(function, arguments))
        seat = min(free, key=lambda one: one.process is None)
        if seat.process is None:
            seat.process = TrialProcess(seat.begin)
        seat.key, seat.since, seat.cancelled = key, time.monotonic(), False
        seat.process.send(call)

    def wait(self, timeout: float | None = None) -> list[Finished]:
        until = None if timeout is None else time.monotonic() + timeout
        while busy := self._busy():
            left = None if until is None else max(0.0, until - time.monotonic())
            ready = wait(list(busy), left)
            found = [self._hear(busy[one]) for one in ready if isinstance(one, Connection)]
            ended = [one for one in found if one is not None]
            if ended or (until is not None and time.monotonic() >= until):
                return ended
        return []

    def cancel(self, key: int) -> None:
        for seat in self._seats:
            if seat.key == key and seat.process is not None:
                seat.cancelled = True
                seat.process.kill()

    def close(self) -> None:
        for seat in self._seats:
            if seat.process is not None:
                seat.process.close()
            seat.process = seat.key = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _busy(self) -> dict[Connection, _Seat]:
        return {
            seat.process.connection: seat
            for seat in self._seats
            if seat.process is not None and seat.key is not None
        }

    def _bury_idle(self) -> None:
        """Notice workers that died while they had nothing to do."""
        for seat in self._seats:
            if seat.key is None and seat.process is not None and seat.process.connection.poll():
                seat.process.close()
                seat.process = None

    def _hear(self, seat: _Seat) -> Finished | None:
        """Take what a busy worker says; return the end of its call, if that is what it is."""
        assert seat.process is not None  # noqa: S101
        assert seat.key is not None  # noqa: S101
        news = seat.process.read()
        if isinstance(news, Asked) and not seat.cancelled:
            seat.process.send(reply_to(news, seat.key, self._answer))
            return None
        if isinstance(news, Asked):
            return None
        ended = end_of(seat.key, news, time.monotonic() - seat.since, seat.cancelled)
        seat.key = None
        if unfit(news) or seat.cancelled:
            seat.process.close()
            seat.process = None
            seat.process = TrialProcess(seat.begin)
        return ended


def reply_to(news: Asked, key: int, answer: Answer | None) -> Reply:
    """Return the answer to a question."""
    question = pickle.loads(news.value)  # noqa: S301
    return Reply(pickle.dumps(None if answer is None else answer(key, question)))


def end_of(key: int, news: News, seconds: float, stopped: bool) -> Finished:
    """Return the end of a call from the last that its worker said.

    Args:
        key: of the call.
        news: what was said.
        seconds: since the call was submitted; shown where the worker cannot tell.
        stopped: whether the call was cancelled.
    """
    if stopped:
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


def unfit(news: News) -> bool:
    """Return whether a worker that said this is to be replaced."""
    if isinstance(news, Raised):
        return news.setup or news.text.rstrip().splitlines()[-1].startswith("MemoryError")
    return isinstance(news, Died)


def cores_of(
    workers: int, threads: int, cores: Iterable[int] | None = None
) -> list[tuple[int, ...] | None]:
    """Return the cores of each worker, those of one NUMA node side by side.

    None for all where there are too few, as workers that share a core do better unpinned.

    Args:
        workers: how many.
        threads: of each.
        cores: that may be used; those of this process by default, in the order of their nodes.
    """
    if cores is None:
        known = [core for node in numa_nodes() for core in node]
        cores = known or sorted(allowed_cores())
    usable = list(cores)
    if workers * threads > min(len(usable), usable_cores()):
        return [None] * workers
    return [tuple(usable[n * threads : (n + 1) * threads]) for n in range(workers)]
