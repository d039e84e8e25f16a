"""What a supervisor and its workers say to each other. They are our own processes: pickled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from lepta.core.events import Event


@dataclass(frozen=True)
class Order:
    """What a worker is to do.

    Attributes:
        about: what a fresh process needs to import as this one does (path, main module, folder).
        job: the function and its payload, pickled by reference.
        host: the address at which this worker meets the others.
        threads: for this worker.
        seconds: until the deadline, or None.
    """

    rank: int
    world: int
    about: dict[str, Any]
    job: bytes
    folder: str | None
    seed: int
    seconds: float | None
    threads: int
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Join:
    """The others meet at this port of this host."""

    host: str
    port: int


@dataclass(frozen=True)
class Stop:
    """Save a checkpoint and return."""


@dataclass(frozen=True)
class Leave:
    """All are done: exit."""


@dataclass(frozen=True)
class Opened:
    """Rank 0 waits for the others at this port of this host."""

    host: str
    port: int


@dataclass(frozen=True)
class Said:
    """An event for the launching process's reporter."""

    event: Event


@dataclass(frozen=True)
class Ended:
    """The function returned.

    Attributes:
        value: pickled, as what carries it may be unable to import its type; of rank 0 only.
        stopped: whether it returned after it was asked to.
    """

    value: bytes
    stopped: bool


@dataclass(frozen=True)
class Failed:
    """The function raised.

    Attributes:
        error: pickled; None where it cannot be.
        text: the traceback.
        lost: whether another worker that went away is the likely cause.
    """

    error: bytes | None
    text: str
    lost: bool


@dataclass(frozen=True)
class Died:
    """The process is gone; ``reason`` says how."""

    reason: str


Answer = Opened | Said | Ended | Failed | Died
Command = Join | Stop | Leave


class Group(Protocol):
    """The workers of one attempt."""

    def poll(self, seconds: float) -> list[tuple[int, Answer]]:
        """Return what workers said, with their ranks; wait for something at most so long."""
        ...

    def send(self, rank: int, command: Command) -> None:
        """Tell a worker; one that is gone is not an error."""
        ...

    def close(self, seconds: float = 0.0) -> None:
        """Wait so long for the workers to end, then kill the rest."""
        ...


class Seats(Protocol):
    """Where workers can be placed."""

    def count(self) -> int:
        """Return how many workers could run now."""
        ...

    def start(self, order: Order) -> Group:
        """Start ``order.world`` workers; ranks, hosts and threads are filled in here.

        Raises:
            OSError: they cannot be placed now.
        """
        ...

    def close(self) -> None:
        """Give up what was taken."""
        ...
