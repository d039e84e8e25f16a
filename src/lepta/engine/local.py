"""Work on this machine, in threads or processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from lepta.core.errors import LeptaError
from lepta.core.events import Context
from lepta.engine.base import ItemError
from lepta.engine.limits import usable_cores

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4
"""Items handed out per worker; more would only delay a stop."""


class LocalEngine:
    """Runs a function over items in threads, or in processes.

    Args:
        processes: use processes, for Python code that holds the interpreter's lock; function
            and items must then be picklable. They are started afresh ("spawn"), and every one
            imports what it needs.
    """

    def __init__(self, *, processes: bool = False) -> None:
        self.processes = processes

    def run(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        *,
        workers: int | None = None,
        context: Context | None = None,
        name: str = "Working",
    ) -> list[R]:
        """Return ``function(item)`` for every item, in order.

        ``workers`` says how many at once: None for ``context.threads``, else the usable cores;
        ``name`` is that of the stage whose progress is reported.

        Raises:
            ItemError: the function raised; what runs is waited for (processes: ended), the
                rest is dropped. The error says which item, and is chained to the cause.
        """
        context = context or Context()
        count = min(workers or context.threads or usable_cores(), max(len(items), 1))
        with context.stage(name, len(items)) as stage:
            if count == 1 and not self.processes:
                results = []
                for index, item in enumerate(items):
                    results.append(_guarded(function, index, item))
                    stage.advance()
                return results
            return _Pool(self._executor(count), count).run(function, items, stage.advance)

    def _executor(self, count: int) -> Executor:
        if self.processes:
            return ProcessPoolExecutor(count, mp_context=get_context("spawn"))
        return ThreadPoolExecutor(count, thread_name_prefix="lepta-engine")


class _Pool:
    """One pass over the items with an executor; keeps few items handed out."""

    def __init__(self, executor: Executor, workers: int) -> None:
        self._executor, self._limit = executor, workers * _AHEAD

    def run(
        self, function: Callable[[T], R], items: Sequence[T], advance: Callable[[], None]
    ) -> list[R]:
        results: dict[int, R] = {}
        running: dict[Future[R], int] = {}
        ahead = iter(enumerate(items))
        try:
            self._hand_out(function, ahead, running)
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=running.__getitem__):
                    index = running.pop(future)
                    results[index] = _result(future, index, items[index])
                    advance()
                self._hand_out(function, ahead, running)
        except BaseException:
            self._stop()
            raise
        self._executor.shutdown()
        return [results[index] for index in range(len(items))]

    def _hand_out(
        self,
        function: Callable[[T], R],
        ahead: Iterator[tuple[int, T]],
        running: dict[Future[R], int],
    ) -> None:
        while len(running) < self._limit:
            following = next(ahead, None)
            if following is None:
                return
            index, item = following
            running[self._executor.submit(function, item)] = index

    def _stop(self) -> None:
        processes = list((getattr(self._executor, "_processes", None) or {}).values())
        for process in processes:
            process.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)


def _guarded(function: Callable[[T], R], index: int, item: T) -> R:
    try:
        return function(item)
    except Exception as error:
        raise _item_error(index, item, error) from error


def _result(future: Future[R], index: int, item: object) -> R:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise ItemError(
            index,
            item,
            error,
            "A worker process died, perhaps for want of memory: use fewer workers.",
        ) from error
    except Exception as error:
        raise _item_error(index, item, error) from error


def _item_error(index: int, item: object, error: Exception) -> ItemError:
    made = ItemError(index, item, error, error.fix if isinstance(error, LeptaError) else None)
    made.where = error.where if isinstance(error, LeptaError) else None
    return made
