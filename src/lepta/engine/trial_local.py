"""Workers of a search as processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import wait
from typing import Any

from lepta.engine.launch import about_here, job_of
from lepta.engine.limits import allowed_cores, numa_nodes, usable_cores, usable_memory
from lepta.engine.trial_messages import Begin, News, Order
from lepta.engine.trial_process import TrialProcess
from lepta.engine.trial_seats import Seated
from lepta.engine.trials import Answer

_SHARE = 0.9
"""Part of the memory that all workers together may take where nothing else is said."""


class LocalTrials(Seated):
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
        super().__init__(count, answer)
        begin = Begin(about_here(), job_of(setup, tuple(arguments)), threads, None, memory)
        self._begins = [placed(begin, place, count) for place in self._seats]
        self._processes: dict[int, TrialProcess] = {}
        try:
            for seat in self._seats:
                self._renew(seat)
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """The numbers of the workers' processes."""
        return [process.pid for process in self._processes.values()]

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.close()
        self._processes, self._running = {}, {}

    def _choose(self, free: list[int]) -> int:
        for seat in free:
            if seat in self._processes and self._processes[seat].connection.poll():
                self._processes.pop(seat).close()  # it died while it had nothing to do
        for seat in free:
            if seat in self._processes:
                return seat
        self._renew(free[0])
        return free[0]

    def _send(self, seat: int, order: Order) -> None:
        self._processes[seat].send(order)

    def _listen(self, seats: list[int], seconds: float | None) -> list[tuple[int, News]]:
        at = {self._processes[seat].connection: seat for seat in seats}
        ready = set(wait(list(at), seconds))
        return [(at[one], self._processes[at[one]].read()) for one in at if one in ready]

    def _kill(self, seat: int) -> None:
        self._processes[seat].kill()

    def _renew(self, seat: int) -> None:
        if seat in self._processes:
            self._processes.pop(seat).close()
        self._processes[seat] = TrialProcess(self._begins[seat])


def placed(begin: Begin, place: int, places: int) -> Begin:
    """Return an order to begin with what it takes of this machine filled in.

    Args:
        begin: the order.
        place: number of the worker among those of this machine.
        places: how many those are.
    """
    memory = int(_SHARE * usable_memory() / places) if begin.memory is None else begin.memory
    cores = cores_of(places, begin.threads)[place]
    return Begin(begin.about, begin.job, begin.threads, cores, memory)


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
