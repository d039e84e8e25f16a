"""Threads that compute, and how many requests may wait for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from lepta.serving.failures import BusyError, OverloadedError

T = TypeVar("T")
_Job = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Workers:
    """A few threads, one bounded queue. Call it from the event loop only.

    Args:
        threads: calls at once.
        queue: calls that may wait.
        timeout: seconds that a call may wait and take.
    """

    def __init__(self, threads: int, queue: int, timeout: float) -> None:
        self.in_flight = 0
        self._limit = threads + queue
        self._timeout = timeout
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"lepta-worker-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Check that one more call would be taken.

        Raises:
            BusyError: the queue is full.
        """
        if self.in_flight >= self._limit:
            raise BusyError("The service is busy: its queue is full.", fix="Try again later.")

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return ``function(*arguments)``, computed in a thread.

        A call that is given up while it waits is not computed; one that runs is run to its end.

        Raises:
            BusyError: the queue is full.
            OverloadedError: there is no answer in time.
        """
        self.check()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.in_flight += 1
        self._jobs.put((future, function, arguments))
        try:
            async with asyncio.timeout(self._timeout):
                return await future
        except TimeoutError as error:
            raise OverloadedError(
                f"There was no answer within {self._timeout:g} s.",
                fix="Try again later, or send fewer rows.",
            ) from error

    def close(self) -> None:
        """Let the threads end when what is queued is done."""
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, function, arguments = job
            result, error = None, None
            if not future.cancelled():
                try:
                    result = function(*arguments)
                except BaseException as caught:
                    error = caught
            self._hand_back(future, result, error)
            del job, future, function, arguments, result, error

    def _hand_back(
        self, future: asyncio.Future[Any], result: Any, error: BaseException | None
    ) -> None:
        try:
            future.get_loop().call_soon_threadsafe(self._finish, future, result, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _finish(
        self, future: asyncio.Future[Any], result: Any, error: BaseException | None
    ) -> None:
        self.in_flight -= 1
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
