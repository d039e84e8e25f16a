"""Work that is done again and again, beside what else a program does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from lepta.core.errors import LeptaError
from lepta.core.events import Context
from lepta.edge.agent.link import Backoff, LinkError

_log = logging.getLogger("lepta.edge")


class Loop:
    """Calls a function every so often in a thread of its own, later and later where it fails.

    Args:
        name: of the thread.
        every: seconds between calls; a call that returns True is followed by the next at once.
        work: the function.
        backoff: waits after failures.
        context: where failures are told: the first of a row, and what is no broken line.
    """

    def __init__(
        self,
        name: str,
        every: float,
        work: Callable[[], bool],
        backoff: Backoff,
        context: Context,
    ) -> None:
        self._every, self._work, self._backoff, self._context = every, work, backoff, context
        self._wake, self._stop = threading.Event(), threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name=f"lepta-{name}", daemon=True)

    @property
    def healthy(self) -> bool:
        """Whether the last call did not fail."""
        return not self._said

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Call the function now, unless it waits after a failure."""
        self._wake.set()

    def stop(self) -> None:
        """Call the function no more."""
        self._stop.set()
        self._wake.set()

    def join(self, seconds: float) -> None:
        """Let a call that still runs go on for some seconds."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                again = self._work()
                self._backoff.worked()
                if self._said:
                    self._context.say("It works again.")
                self._said = ""
            except LeptaError as error:
                self._tell(error)
                self._stop.wait(self._backoff.failed())
                continue
            except Exception:
                self._said = "something unforeseen"
                _log.exception("Something unforeseen; it is tried again")
                self._stop.wait(self._backoff.failed())
                continue
            if not again:
                self._wake.wait(self._every)

    def _tell(self, error: LeptaError) -> None:
        if self._stop.is_set() or error.what == self._said:
            return
        if not (isinstance(error, LinkError) and self._said and not error.status):
            self._context.say(str(error), "warning")
        self._said = error.what
