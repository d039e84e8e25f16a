"""Calls that are handed out one by one and come back as they end: the workers of a search.

Each worker keeps a *state*, which ``setup`` makes once (data that were read, arrays that were
prepared); a call is ``function(state, *arguments)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from lepta.core.errors import LeptaError
from lepta.core.registry import Registry

WORKERS = Registry(
    "lepta.trials",
    "kind of workers",
    {
        "local": "lepta.engine.trial_local:LocalTrials",
        "ray": "lepta.engine.trial_ray:RayTrials",
    },
)
"""Kinds of workers of a search, by name: classes that fulfil :class:`Trials`."""

Loss = Literal["died", "memory", "cancelled"]
Answer = Callable[[int, Any], Any]
"""Gives the answer to what the call with this key asks."""


class TrialError(LeptaError):
    """A call ended with its worker.

    Attributes:
        reason: the worker "died", took too much "memory", or the call was "cancelled".
    """

    code = "trial"

    def __init__(self, what: str, reason: Loss = "died", fix: str | None = None) -> None:
        super().__init__(what, fix=fix)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.reason, self.fix)


@dataclass(frozen=True)
class Finished:
    """A call that has ended.

    Attributes:
        key: what it was submitted under.
        value: what it returned; None where it failed.
        error: why it failed; None where it did not. A worker that died, ran out of memory or was
            cancelled is a :class:`TrialError`; its place is taken by a new worker.
        seconds: wall time it took.
        cpu_seconds: processor time it took, all of the worker's threads together.
    """

    key: int
    value: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Line:
    """An argument through which a running call asks the one who submitted it.

    Made where the call is submitted, it is connected where the call runs. What ``answer`` of the
    :class:`Trials` returns for the question comes back; both must pickle.
    """

    def __init__(self) -> None:
        self._ask: Callable[[Any], Any] | None = None

    def connect(self, ask: Callable[[Any], Any]) -> None:
        """Let questions go to ``ask``."""
        self._ask = ask

    def ask(self, question: Any) -> Any:
        """Return the answer; it comes while the other side waits for calls to end."""
        return None if self._ask is None else self._ask(question)


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
            ConfigError: function or arguments cannot be pickled.
        """
        ...

    def wait(self, timeout: float | None = None) -> list[Finished]:
        """Return calls that ended; wait for the first one, ``timeout`` seconds at the most.

        Empty at once where no call runs.
        """
        ...

    def cancel(self, key: int) -> None:
        """End a running call at once, whatever it does; :meth:`wait` then returns it as failed."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...

    def __enter__(self) -> Trials: ...

    def __exit__(self, *exc: object) -> None: ...


def open_trials(
    setup: Callable[..., Any],
    arguments: Sequence[Any] = (),
    *,
    engine: str = "local",
    **options: Any,
) -> Trials:
    """Return workers, each of which makes its state by ``setup(*arguments)``.

    Args:
        setup: can be imported by its name.
        arguments: of ``setup``; pickled, so keep arrays in files.
        engine: "local" (processes of this machine) or "ray".
        options: of the class: ``workers``, ``threads`` of each, ``memory`` of each in bytes,
            ``answer`` for questions that calls ask through a :class:`Line`; ``address`` on Ray.

    Raises:
        ConfigError: there are no workers of that kind; setup or arguments cannot be pickled.
        MissingExtraError: Ray is not installed.
    """
    made: Trials = WORKERS.get(engine)(setup, arguments, **options)
    return made
