"""Calls that are handed out one by one and come back as they end: the workers of a search.

Each worker keeps a *state*, which ``setup`` makes once (data that were read, arrays that were
prepared); a call is ``function(state, *arguments)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Finished:
    """A call that has ended.

    Attributes:
        key: what it was submitted under.
        value: what it returned; None where it failed.
        error: why it failed; None where it did not. A worker that died, ran out of memory or was
            cancelled is an error too.
        seconds: wall time it took.
        cpu_seconds: processor time it took, all of the worker's threads together.
    """

    key: int
    value: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Trials(Protocol):
    """Workers that run calls for a search; a context manager that ends them all."""

    @property
    def idle(self) -> int:
        """How many workers wait for a call."""
        ...

    def submit(self, key: int, function: Callable[..., Any], *arguments: Any) -> None:
        """Hand a call to an idle worker; ``function`` can be imported by its name.

        Raises:
            ValueError: no worker is idle, or the key is in use.
        """
        ...

    def wait(self, timeout: float | None = None) -> list[Finished]:
        """Return calls that ended; wait for the first one, ``timeout`` seconds at the most."""
        ...

    def cancel(self, key: int) -> None:
        """End a running call at once, whatever it does; :meth:`wait` then returns it as failed."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...

    def __enter__(self) -> Trials: ...

    def __exit__(self, *exc: object) -> None: ...
