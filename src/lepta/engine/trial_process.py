"""One worker of a search, seen from the process that started it."""

from __future__ import annotations

import contextlib
import pickle
import sys
import threading

from lepta.engine.messages import Died
from lepta.engine.processes import death_of, kill_group, start_process
from lepta.engine.trial_child import held
from lepta.engine.trial_messages import Begin, News, Order, Raised
from lepta.engine.trials import Finished, TrialError

_LOOK = 0.1
"""Seconds between two looks at the memory of a worker."""


class TrialProcess:
    """A process that makes its state and does one call after the other.

    Args:
        begin: what it is.

    Attributes:
        connection: readable once it has said something, or is gone.

    Raises:
        OSError: the system refuses more processes.
    """

    def __init__(self, begin: Begin) -> None:
        self._process, self.connection = start_process(
            "lepta.engine.trial_child", begin, begin.threads, {}
        )
        self._over = 0
        self._memory = begin.memory or 0
        self._gone = threading.Event()
        if self._memory and sys.platform == "linux":
            threading.Thread(target=self._watch, name="lepta-memory", daemon=True).start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def send(self, order: Order) -> None:
        """Tell it something; that it is gone shows when it is read from."""
        with contextlib.suppress(OSError):
            self.connection.send(order)

    def read(self) -> News:
        """Return what it says next; wait for it."""
        try:
            news: News = self.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            died = death_of(self._process)
            return Died(self._too_much(self._over)) if self._over else died
        return news

    def kill(self) -> None:
        """End it, and what it started, at once; may be called from another thread."""
        if self._process.returncode is None:
            kill_group(self._process)

    def close(self) -> None:
        """End it and wait until it is gone."""
        self._gone.set()
        kill_group(self._process)  # what it started outlives it otherwise
        self._process.wait()
        self.connection.close()

    def _watch(self) -> None:
        while not self._gone.wait(_LOOK):
            size = held(self._process.pid)
            if size > self._memory:
                self._over = size
                self.kill()
                return

    def _too_much(self, size: int) -> str:
        return f"{OVER}{size / 2**30:.2f} GiB, of {self._memory / 2**30:.2f} GiB allowed"


OVER = "it took too much memory: "
"""Begins the reason of a death for memory."""


def lost(reason: str) -> TrialError:
    """Return the error for a worker that died."""
    if reason.startswith(OVER):
        size = reason.removeprefix(OVER)
        return TrialError(f"The worker took too much memory: {size}.", "memory", fix=_FIX)
    return TrialError(f"The worker was lost ({reason}).", "died")


def cancelled() -> TrialError:
    """Return the error for a call that was cancelled."""
    return TrialError("The call was cancelled.", "cancelled")


def finished_of(key: int, news: Raised) -> Finished:
    """Return the end of a call that raised."""
    error: BaseException
    if news.error is not None:
        error = pickle.loads(news.error)  # noqa: S301
        error.add_note(f"In a worker:\n{news.text}")
    else:
        error = TrialError(f"The call failed: {news.text.strip().splitlines()[-1]}", "died")
        error.add_note(news.text)
    if isinstance(error, MemoryError):
        cause, error = error, TrialError("The worker took too much memory.", "memory", fix=_FIX)
        error.__cause__ = cause
    return Finished(key, error=error, seconds=news.seconds, cpu_seconds=news.cpu_seconds)


_FIX = "Use fewer workers, or give each more memory."
