"""A worker of a search: ``python -m lepta.engine.trial_child PIPE PARENT``.

It makes its state, does one call after the other, and never outlives its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from lepta.engine.allocator import tune_process
from lepta.engine.child import die_with, enter
from lepta.engine.member import failed
from lepta.engine.trial_messages import Asked, Begin, Call, News, Order, Raised, Reply, Returned
from lepta.engine.trials import Line

_SLACK = 1 << 30
"""Bytes of address space above twice the limit: libraries reserve more than they use."""


class Desk:
    """The pipe to the parent: calls come in, answers come in between, news goes out."""

    def __init__(self, connection: Connection) -> None:
        self.calls: SimpleQueue[Call] = SimpleQueue()
        self._replies: SimpleQueue[Reply] = SimpleQueue()
        self._connection = connection
        threading.Thread(target=self._listen, name="lepta-desk", daemon=True).start()

    def send(self, news: News) -> None:
        """Tell the parent."""
        try:
            self._connection.send(news)
        except OSError:
            os._exit(1)  # the parent is gone

    def ask(self, question: Any) -> Any:
        """Return the parent's answer."""
        self.send(Asked(pickle.dumps(question)))
        return pickle.loads(self._replies.get().value)  # noqa: S301

    def _listen(self) -> None:
        try:
            while True:
                order: Order = self._connection.recv()
                if isinstance(order, Call):
                    self.calls.put(order)
                elif isinstance(order, Reply):
                    self._replies.put(order)
        except (EOFError, OSError):
            os._exit(1)  # the parent is gone


def main() -> int:
    """Work until the parent ends this process."""
    connection, parent = Connection(int(sys.argv[1])), int(sys.argv[2])
    die_with(parent)
    begin: Begin = connection.recv()
    _settle(begin)
    desk = Desk(connection)
    try:
        setup, arguments = _opened(begin)
        state = setup(*arguments)
    except BaseException as error:
        desk.calls.get()
        desk.send(_raised(error, setup=True))
        desk.calls.get()  # never comes: the parent replaces this process
        return 1
    while True:
        call = desk.calls.get()
        _work(desk, state, call, begin.about)
        if begin.memory:
            _give_back(begin.memory)


def _work(desk: Desk, state: Any, call: Call, about: Mapping[str, Any]) -> None:
    began, used = time.monotonic(), time.process_time()
    try:
        if b"__main__" in call.job:
            enter(about, call.job)
        function, arguments = pickle.loads(call.job)  # noqa: S301
        for argument in arguments:
            if isinstance(argument, Line):
                argument.connect(desk.ask)
        value = pickle.dumps(function(state, *arguments), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        taken = time.monotonic() - began, time.process_time() - used
        desk.send(_raised(error, False, *taken))
        return
    desk.send(Returned(value, time.monotonic() - began, time.process_time() - used))


def _raised(
    error: BaseException, setup: bool, seconds: float = 0.0, cpu_seconds: float = 0.0
) -> Raised:
    described = failed(error)
    return Raised(described.error, described.text, setup, seconds, cpu_seconds)


def _opened(begin: Begin) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Import what the parent has imported."""
    enter(begin.about, begin.job)
    opened: tuple[Callable[..., Any], tuple[Any, ...]] = pickle.loads(begin.job)  # noqa: S301
    return opened


def _settle(begin: Begin) -> None:
    """Take the cores, the limit of memory and the settings of the allocator."""
    tune_process()
    if begin.cores and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, begin.cores)
    if begin.memory and sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = 2 * begin.memory + _SLACK
        if hard == resource.RLIM_INFINITY or wanted < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def _give_back(memory: int) -> None:
    """Return to the system what the call before left, where that is much."""
    if sys.platform == "linux" and held(os.getpid()) > memory // 2:
        gc.collect()
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def held(pid: int) -> int:
    """Return the bytes of memory that a process holds for itself alone; 0 where it is gone."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
