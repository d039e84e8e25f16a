"""Workers of a search on a Ray cluster: an actor on each seat starts a process as on one machine.

So cores, limits of memory and what becomes of a call are the same in both; actors are reused.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from lepta.engine.cluster import connected, line_of
from lepta.engine.launch import about_here, job_of
from lepta.engine.messages import Died
from lepta.engine.trial_local import placed
from lepta.engine.trial_messages import Begin, News, Order
from lepta.engine.trial_process import TrialProcess
from lepta.engine.trial_seats import Seated
from lepta.engine.trials import Answer

_SECONDS = 5.0
"""Time in which workers of a cluster are asked to end, before their actors are killed."""


class TrialSeat:
    """The actor on one seat; one thread waits for the worker, another may kill it meanwhile."""

    def __init__(self) -> None:
        self._process: TrialProcess | None = None
        self._begun = threading.Event()

    def node(self) -> str:
        """Return the node that it is on."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def begin(self, begin: Begin, place: int, places: int) -> None:
        """Start the worker, one of so many of this machine."""
        self.close()
        self._process = TrialProcess(placed(begin, place, places))
        self._begun.set()

    def step(self, order: Order) -> News:
        """Tell the worker something, and return what it says next."""
        self._begun.wait()
        if self._process is None:
            return Died("it has ended")
        self._process.send(order)
        return self._process.read()

    def kill(self) -> None:
        """Kill the worker."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Kill the worker, and wait until it is gone."""
        if self._process is not None:
            self._process.close()
            self._process = None


class RayTrials(Seated):
    """Workers on a Ray cluster.

    Args:
        setup, arguments, threads, memory, answer: as in
            :class:`~lepta.engine.trial_local.LocalTrials`.
        workers: how many; None for one on each ``threads`` cores of the cluster.
        address: of the cluster; None starts one of this machine's cores that listens on loopback
            only, with a key of its own, and ends with these workers.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: no cluster answers at the address; setup or arguments cannot be pickled.
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
        address: str | None = None,
    ) -> None:
        job = job_of(setup, tuple(arguments))
        self._ray, self._ours = connected(
            address, (workers or 1) * threads, "A search on a Ray cluster"
        )
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        super().__init__(workers or max(1, cores // threads), answer)
        self._begin = Begin(about_here(), job, threads, None, memory)
        self._actors: dict[int, Any] = {}
        self._places: dict[int, tuple[int, int]] = {}
        self._steps: dict[Any, int] = {}
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        actors, self._actors, self._steps, self._running = self._actors, {}, {}, {}
        closing = [actor.close.remote() for actor in actors.values()]
        if closing:
            self._ray.wait(closing, num_returns=len(closing), timeout=_SECONDS)
        for actor in actors.values():
            self._ray.kill(actor)
        if self._ours:
            self._ray.shutdown()
            self._ours = False

    def _start(self) -> None:
        """Make the actors, and tell each how many others share its machine."""
        self._actors = {seat: self._actor() for seat in self._seats}
        nodes = self._ray.get([actor.node.remote() for actor in self._actors.values()])
        all_of, before = Counter(nodes), Counter[str]()
        for seat, node in zip(self._seats, nodes, strict=True):
            self._places[seat] = (before[node], all_of[node])
            before[node] += 1
            self._actors[seat].begin.remote(self._begin, *self._places[seat])

    def _actor(self) -> Any:
        needs = {"num_cpus": self._begin.threads, "max_concurrency": 2}
        return self._ray.remote(TrialSeat).options(**needs).remote()

    def _choose(self, free: list[int]) -> int:
        return free[0]

    def _send(self, seat: int, order: Order) -> None:
        self._steps[self._actors[seat].step.remote(order)] = seat

    def _listen(self, seats: list[int], seconds: float | None) -> list[tuple[int, News]]:
        ready, _ = self._ray.wait(list(self._steps), num_returns=1, timeout=seconds)
        return [(self._steps.pop(one), self._news(one)) for one in ready]

    def _news(self, step: Any) -> News:
        try:
            news: News = self._ray.get(step)
        except self._ray.exceptions.RayError as error:
            return Died(line_of(error))
        return news

    def _kill(self, seat: int) -> None:
        self._actors[seat].kill.remote()

    def _renew(self, seat: int) -> None:
        try:
            self._ray.get(self._actors[seat].begin.remote(self._begin, *self._places[seat]))
        except self._ray.exceptions.RayError:  # the actor itself is gone
            self._actors[seat] = self._actor()
            self._actors[seat].begin.remote(self._begin, *self._places[seat])
