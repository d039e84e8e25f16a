"""What a search and its workers say to each other. They are our own processes: pickled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lepta.engine.messages import Died


@dataclass(frozen=True)
class Begin:
    """What a worker is, and how it makes its state.

    Attributes:
        about: what a fresh process needs to import as this one does (path, main module, folder).
        job: setup and its arguments, pickled by reference.
        threads: that it may use.
        cores: that it is pinned to; None leaves it free.
        memory: bytes that it may hold; 0 for no limit, None for its share.
    """

    about: dict[str, Any]
    job: bytes
    threads: int
    cores: tuple[int, ...] | None
    memory: int | None


@dataclass(frozen=True)
class Call:
    """Do this: the function and its arguments, pickled by reference."""

    job: bytes


@dataclass(frozen=True)
class Reply:
    """The answer to a question, pickled."""

    value: bytes


@dataclass(frozen=True)
class Asked:
    """A call asks something, pickled."""

    value: bytes


@dataclass(frozen=True)
class Returned:
    """A call returned a value, pickled; it took so many seconds."""

    value: bytes
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Raised:
    """A call raised, or the setup before it did.

    Attributes:
        error: pickled; None where it cannot be.
        text: the traceback.
        setup: whether it was the setup.
    """

    error: bytes | None
    text: str
    setup: bool = False
    seconds: float = 0.0
    cpu_seconds: float = 0.0


Order = Begin | Call | Reply
News = Asked | Returned | Raised | Died
