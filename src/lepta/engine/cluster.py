"""Workers on a Ray cluster: an actor on each seat starts a process as on a single machine.

The same supervisor, processes and meeting as for one machine serve the cluster, so that a run on
it computes the same. Ray finds the places, tells which nodes live, and carries messages.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

from lepta.core.errors import ConfigError, missing_extra
from lepta.engine.limits import usable_cores
from lepta.engine.messages import Answer, Command, Died, Group, Order
from lepta.engine.processes import Processes

_PLACING = 60.0
"""Seconds in which seats that the cluster counts must be found."""

_RAY_LIMIT = 30.0
_POLL = 0.5


class Seat:
    """The actor on one seat."""

    def __init__(self) -> None:
        self._processes: Processes | None = None
        self._rank = 0

    def where(self) -> tuple[str, str, int]:
        """Return the machine's name, its address in the cluster, and its cores."""
        import ray

        address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        return socket.gethostname(), address, usable_cores()

    def start(self, order: Order) -> None:
        """Start the process of a worker."""
        self._rank = order.rank
        self._processes = Processes([order])

    def poll(self, seconds: float) -> list[tuple[int, Answer]]:
        """Return what it said."""
        return self._processes.poll(seconds) if self._processes else []

    def send(self, command: Command) -> None:
        """Tell it something."""
        if self._processes:
            self._processes.send(self._rank, command)

    def close(self, seconds: float) -> None:
        """Wait so long for its end, then kill it."""
        if self._processes:
            self._processes.close(seconds)


class Seated:
    """The workers of one attempt, each behind an actor."""

    def __init__(self, ray: Any, actors: list[Any], group: Any) -> None:
        self._ray, self._actors, self._group = ray, actors, group
        self._polls = {actor.poll.remote(_POLL): rank for rank, actor in enumerate(actors)}

    def poll(self, seconds: float) -> list[tuple[int, Answer]]:
        if not self._polls:
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait(list(self._polls), num_returns=1, timeout=seconds)
        more, _ = self._ray.wait(list(self._polls), num_returns=len(self._polls), timeout=0)
        found: list[tuple[int, Answer]] = []
        for reference in {*ready, *more}:
            rank = self._polls.pop(reference)
            try:
                found += self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                found.append((rank, Died(line_of(error))))
                continue
            self._polls[self._actors[rank].poll.remote(_POLL)] = rank
        return found

    def send(self, rank: int, command: Command) -> None:
        self._actors[rank].send.remote(command)

    def close(self, seconds: float = 0.0) -> None:
        if not self._actors:
            return
        if seconds:
            closing = [actor.close.remote(seconds) for actor in self._actors]
            self._ray.wait(closing, num_returns=len(closing), timeout=seconds + 1)
        for actor in self._actors:
            self._ray.kill(actor)
        self._ray.util.remove_placement_group(self._group)
        self._actors, self._polls = [], {}


class RaySeats:
    """Places for workers on a Ray cluster.

    Args:
        address: of the cluster; None starts one of this machine's cores that listens on loopback
            only, with a key of its own, and ends with this process.
        slots: says how many workers may run now; by default what the living nodes have room for.
        most: the most workers that will be asked for.
        threads: for all workers of a machine together; None for its usable cores.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: no cluster answers at the address.
    """

    def __init__(
        self, address: str | None, slots: Callable[[], int] | None, most: int, threads: int | None
    ) -> None:
        self._slots, self._threads = slots, threads
        self._ray, self._ours = connected(address, most)
        self._needs: dict[str, float] = {"CPU": 1.0}
        if address is not None and self._ray.cluster_resources().get("GPU", 0) >= most:
            self._needs["GPU"] = 1.0

    def count(self) -> int:
        if self._slots is not None:
            return self._slots()
        return sum(
            int(min(node["Resources"].get(name, 0) // need for name, need in self._needs.items()))
            for node in self._ray.nodes()
            if node["Alive"]
        )

    def start(self, order: Order) -> Group:
        group = self._placed(order.world)
        strategy = self._ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy
        seat = self._ray.remote(Seat)
        actors = [
            seat.options(
                num_cpus=self._needs["CPU"],
                num_gpus=self._needs.get("GPU", 0),
                scheduling_strategy=strategy(group, placement_group_bundle_index=index),
            ).remote()
            for index in range(order.world)
        ]
        seated = Seated(self._ray, actors, group)
        try:
            orders = self._orders(order, actors)
            self._get([a.start.remote(o) for a, o in zip(actors, orders, strict=True)])
        except BaseException as error:
            seated.close()
            if isinstance(error, self._ray.exceptions.RayError):
                raise OSError(line_of(error)) from error
            raise
        return seated

    def close(self) -> None:
        if self._ours:
            self._ray.shutdown()

    def _placed(self, world: int) -> Any:
        from ray.util.placement_group import placement_group

        group = placement_group([dict(self._needs)] * world, strategy="PACK")
        until = time.monotonic() + _PLACING
        while not group.wait(1):
            if time.monotonic() > until or self.count() < world:
                self._ray.util.remove_placement_group(group)
                raise OSError(f"the cluster has no room for {world} workers now")
        return group

    def _orders(self, order: Order, actors: list[Any]) -> Iterator[Order]:
        """Fill in rank, address and threads: those of a machine are split among its workers."""
        places = self._get([actor.where.remote() for actor in actors])
        machines = [machine for machine, _, _ in places]
        for rank, (machine, host, cores) in enumerate(places):
            threads = max(1, (self._threads or cores) // machines.count(machine))
            yield replace(order, rank=rank, host=host, threads=threads)

    def _get(self, references: list[Any]) -> list[Any]:
        found: list[Any] = self._ray.get(references, timeout=_RAY_LIMIT)
        return found


def connected(
    address: str | None, most: int, purpose: str = "Training on a Ray cluster"
) -> tuple[Any, bool]:
    """Return the module ``ray``, connected, and whether the connection is ours to end.

    Args:
        address: of the cluster; None starts one on loopback, with a key of its own.
        most: cores that it has at least, where it is started.
        purpose: what it is for.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: no cluster answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    imported = "ray" in sys.modules and not _key.cache_info().currsize
    with _loopback(address is None):
        try:
            import ray
            import ray.util.scheduling_strategies
        except ImportError as error:
            raise missing_extra("ray", "ray", purpose) from error
        if ray.is_initialized():
            return ray, False
        quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        if address is None and imported:
            raise ConfigError(
                "Ray was imported before its key could be set, so no private cluster can be "
                "started.",
                fix="Leave `import ray` to Lepta, or connect first: ray.init(address=...).",
            )
        if address is None:
            ray.init("local", num_cpus=max(most, usable_cores()), include_dashboard=False, **quiet)
            return ray, True
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"No Ray cluster answers at {address!r}: {line_of(error)}",
                fix="Start one (`ray start --head`), or leave the address out.",
            ) from error
        return ray, True


@contextmanager
def _loopback(wanted: bool) -> Iterator[None]:
    """Let a cluster that is started meanwhile use 127.0.0.1, with a random key kept in memory."""
    if not wanted:
        yield
        return
    ours = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's name for "not only on this machine"
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _key(),
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@cache
def _key() -> str:
    """Return the key of clusters that this process starts; Ray reads it but once."""
    return secrets.token_hex(32)


def line_of(error: BaseException) -> str:
    """Return the first line of an error, or of what caused it."""
    error = getattr(error, "cause", None) or error
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
