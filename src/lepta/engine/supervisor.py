"""Keeps a training function running: whoever dies is replaced, and the world follows the seats.

Each attempt starts all workers afresh, with a meeting point of its own; they go on from the newest
checkpoint. Workers of a broken attempt are never mended: a collective operation in which one of
them hangs cannot be left.
"""

from __future__ import annotations

import pickle
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepta.core.errors import LeptaError, TrainError
from lepta.core.events import Context
from lepta.engine.checkpoints import Checkpoints
from lepta.engine.messages import (
    Answer,
    Died,
    Ended,
    Failed,
    Group,
    Join,
    Leave,
    Opened,
    Order,
    Said,
    Seats,
    Stop,
)

_LOOK = 0.2
"""Seconds between looks at requests to stop."""

_SEATS_EVERY = 1.0
"""Seconds between looks at the seats."""

_GRACE = 3.0
"""Seconds in which the cause of a failure may turn out to be the death of another worker."""

_LEAVING = 10.0
_WAITING = 600.0
"""Seconds to wait for as many seats as are needed at least."""

_SHRINK_AFTER = 2
"""Deaths in a row without a new checkpoint after which an elastic world does with one fewer."""


@dataclass(frozen=True)
class Plan:
    """How many workers, and how often to begin again.

    Attributes:
        least: fewest workers that may train.
        most: most workers that may train.
        restarts: deaths in a row, without a new checkpoint between them, that are made good.
    """

    least: int
    most: int
    restarts: int


@dataclass(frozen=True)
class _Lost:
    reason: str


@dataclass(frozen=True)
class _Unplaced:
    reason: str


class Supervisor:
    """Runs one function to its end.

    Args:
        seats: where workers go.
        plan: how many.
        order: what they do; rank, world and threads are filled in.
        context: where events and warnings go.
        stop: set from elsewhere, it asks for a checkpoint and an end.
    """

    def __init__(
        self, seats: Seats, plan: Plan, order: Order, context: Context, stop: threading.Event
    ) -> None:
        self._seats, self._plan, self._order = seats, plan, order
        self._context, self._stop = context, stop
        self._checkpoints = Checkpoints(Path(order.folder)) if order.folder else None
        self._cap, self._room = plan.most, 0
        self._started = time.monotonic()

    def run(self) -> Any:
        """Return the value of rank 0.

        Raises:
            TrainError: workers died too often, or there are too few seats.
            Exception: what the function raised, with the worker's traceback as a note.
        """
        deaths = 0
        world = self._wait_for_seats()
        while True:
            step = self._step()
            outcome = self._attempt(world)
            if isinstance(outcome, Ended):
                if not outcome.stopped or self._stop.is_set() or self._late():
                    return pickle.loads(outcome.value)  # noqa: S301
                deaths = 0
            elif isinstance(outcome, _Unplaced):
                self._after_refusal(outcome.reason)
            else:
                deaths = 1 if self._step() > step else deaths + 1
                self._after_death(deaths, world, outcome.reason)
            following = self._wait_for_seats()
            if following != world:
                self._context.say(f"Training goes on with {following} workers, after {world}.")
            world = following

    def _after_death(self, deaths: int, world: int, reason: str) -> None:
        if deaths > self._plan.restarts:
            raise TrainError(
                f"Training was broken off {deaths} times without a new checkpoint: {reason}.",
                fix="If the memory is too small, use fewer workers or a smaller batch.",
            )
        self._context.say(f"Training is begun again: {reason}.", "warning")
        if deaths >= _SHRINK_AFTER:
            self._cap = max(self._plan.least, world - 1)

    def _after_refusal(self, reason: str) -> None:
        """Seats that were counted could not be taken: a node died that is still counted."""
        if time.monotonic() - self._started > _WAITING:
            raise TrainError(
                f"Workers could not be started: {reason}.",
                fix="Ask for fewer workers, or give the cluster more nodes.",
            )
        time.sleep(_LOOK)

    def _wait_for_seats(self) -> int:
        until, told = time.monotonic() + _WAITING, False
        while (world := self._wanted()) < self._plan.least:
            if time.monotonic() > until or self._stop.is_set():
                raise TrainError(
                    f"Training needs {self._plan.least} workers; there is room for {world}.",
                    fix="Ask for fewer workers, or give the cluster more nodes.",
                )
            if not told:
                self._context.say(f"Waiting for room for {self._plan.least} workers.", "warning")
                told = True
            time.sleep(_LOOK)
        return world

    def _wanted(self) -> int:
        """As many workers as there is room for; a change of the room lifts the cap."""
        room = self._seats.count()
        if room != self._room:
            self._cap, self._room = self._plan.most, room
        return min(self._plan.most, self._cap, room)

    def _attempt(self, world: int) -> Ended | _Lost | _Unplaced:
        left = None if self._order.seconds is None else self._context.seconds_left()
        order = Order(**{**self._order.__dict__, "world": world, "seconds": left})
        try:
            group = self._seats.start(order)
        except OSError as error:
            return _Unplaced(str(error))
        self._started = time.monotonic()
        try:
            return _Attempt(group, world, self).run()
        finally:
            group.close()

    def _step(self) -> int:
        return self._checkpoints.latest_step() if self._checkpoints else -1

    def _late(self) -> bool:
        return self._context.seconds_left() <= 0

    def must_stop(self, world: int) -> bool:
        """Return whether a running world is to end."""
        return self._stop.is_set() or self._plan.least <= self._wanted() != world

    def heed(self, said: Said) -> None:
        """Pass on an event."""
        self._context.report(said.event)


class _Attempt:
    """One start of all workers, to the end of all or the death of one."""

    def __init__(self, group: Group, world: int, supervisor: Supervisor) -> None:
        self._group, self._world, self._supervisor = group, world, supervisor
        self._ended: dict[int, Ended] = {}
        self._failed: dict[int, Failed] = {}
        self._failed_at = 0.0
        self._asked = False
        self._looked = time.monotonic()

    def run(self) -> Ended | _Lost:
        while len(self._ended) < self._world:
            for rank, answer in self._group.poll(_LOOK):
                if (lost := self._take(rank, answer)) is not None:
                    return lost
            if self._failed and self._settled():
                return self._blame()
            self._look()
        self._tell(Leave())
        self._group.close(_LEAVING)
        return self._ended[0]

    def _take(self, rank: int, answer: Answer) -> _Lost | None:
        if isinstance(answer, Said):
            self._supervisor.heed(answer)
        elif isinstance(answer, Opened):
            self._tell(Join(answer.host, answer.port), but=rank)
        elif isinstance(answer, Ended):
            self._ended[rank] = answer
        elif isinstance(answer, Failed):
            self._fail(rank, answer)
        elif isinstance(answer, Died) and not (rank in self._ended and self._world == 1):
            return _Lost(f"worker {rank} of {self._world} was lost ({answer.reason})")
        return None

    def _fail(self, rank: int, failed: Failed) -> None:
        """Keep a failure until its cause is clear; an error of ours needs no second look."""
        error = _error(failed)
        if isinstance(error, LeptaError):
            raise error
        if not self._failed:
            self._failed_at = time.monotonic()
        self._failed[rank] = failed

    def _settled(self) -> bool:
        heard_of = len(self._failed) + len(self._ended)
        return heard_of == self._world or time.monotonic() - self._failed_at > _GRACE

    def _blame(self) -> _Lost:
        """Raise what a worker raised of its own; others only lost it."""
        for failed in self._failed.values():
            if not failed.lost:
                raise _error(failed)
        last = next(iter(self._failed.values())).text.strip().splitlines()[-1]
        return _Lost(f"workers lost each other ({last})")

    def _look(self) -> None:
        if self._asked or time.monotonic() - self._looked < _SEATS_EVERY:
            return
        self._looked = time.monotonic()
        if self._supervisor.must_stop(self._world):
            self._asked = True
            self._tell(Stop())

    def _tell(self, command: Join | Stop | Leave, but: int | None = None) -> None:
        for rank in range(self._world):
            if rank != but:
                self._group.send(rank, command)


def _error(failed: Failed) -> BaseException:
    last = failed.text.strip().splitlines()[-1]
    error: BaseException = TrainError(f"A worker failed: {last}")
    if failed.error is not None:
        error = pickle.loads(failed.error)  # noqa: S301
    error.add_note(f"In the worker:\n{failed.text}")
    return error
