"""One training function, in this process, in several, or on a Ray cluster."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.spawn import get_preparation_data
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from lepta.core.errors import ConfigError, suggest
from lepta.core.events import Context
from lepta.engine.messages import Order, Seats
from lepta.engine.processes import LocalSeats
from lepta.engine.supervisor import Plan, Supervisor
from lepta.engine.worker import Alone, Worker

P = TypeVar("P")
R = TypeVar("R")

WHERE = ("local", "ray")


def train(  # noqa: PLR0913
    function: Callable[[Worker, P], R],
    payload: P,
    *,
    folder: Path | None,
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    elastic: tuple[int, int] | None = None,
    restarts: int = 3,
    slots: Callable[[], int] | None = None,
    context: Context | None = None,
) -> R:
    """Run a training function to its end and return what rank 0 returns.

    One local worker runs in this process. Several are processes that meet in torch.distributed
    before the function is called. When one of them dies, all are started afresh and go on from the
    newest checkpoint; when this process dies, they end, and the same call goes on with what is in
    ``folder``. At SIGTERM the function is asked to save and return; then the signal is delivered.

    Args:
        function: importable by name, as it is called in other processes.
        payload: its second argument; pickled, so keep arrays in files.
        folder: for checkpoints; on a cluster one that all nodes share. None keeps none.
        workers: how many.
        engine: "local", or "ray".
        address: of the Ray cluster; None starts one that only this machine can reach.
        elastic: fewest and most workers: the world shrinks and grows with the room for them.
        restarts: deaths in a row, without a new checkpoint between them, that are made good.
        slots: says how many workers there is room for now; by default the cluster's resources,
            or on this machine as many as are asked for.
        context: seed, deadline, threads for all workers together, and where events go.

    Raises:
        ConfigError: the options do not fit together, or the function cannot be imported by name.
        TrainError: workers died too often, a checkpoint cannot be written, or room is lacking.
        MissingExtraError: PyTorch or Ray is not installed.
        Exception: what the function raised.
    """
    context = context or Context()
    plan = _plan(workers, elastic, restarts)
    if engine not in WHERE:
        raise ConfigError(
            f"Training does not run on {engine!r}.{suggest(engine, WHERE)}",
            fix=f"Choose from: {', '.join(WHERE)}.",
        )
    stop = threading.Event()
    if engine == "local" and plan.most == 1:
        with _asked_by_signal(stop):
            return function(Alone(folder, context, stop), payload)
    order = _order(function, payload, folder, context)
    # Ray sets a handler of its own when it connects, so ours comes second.
    with closing(_seats(engine, address, slots, plan, context)) as seats, _asked_by_signal(stop):
        return cast(R, Supervisor(seats, plan, order, context, stop).run())


def _plan(workers: int, elastic: tuple[int, int] | None, restarts: int) -> Plan:
    least, most = elastic or (workers, workers)
    if not 1 <= least <= most or restarts < 0:
        raise ConfigError(
            f"{workers} workers, elastic {elastic}, {restarts} restarts cannot be.",
            fix="Give at least one worker, elastic=(fewest, most), and no negative restarts.",
        )
    return Plan(least, most, restarts)


def _seats(
    engine: str,
    address: str | None,
    slots: Callable[[], int] | None,
    plan: Plan,
    context: Context,
) -> Seats:
    if engine == "ray":
        from lepta.engine.cluster import RaySeats

        return RaySeats(address, slots, plan.most, context.threads)
    return LocalSeats(slots or (lambda: plan.most), context.threads)


def _order(
    function: Callable[[Worker, P], R], payload: P, folder: Path | None, context: Context
) -> Order:
    left = context.seconds_left()
    return Order(
        rank=0,
        world=1,
        about=about_here(),
        job=job_of(function, payload),
        folder=str(Path(folder).absolute()) if folder is not None else None,
        seed=context.seed,
        seconds=None if left == float("inf") else left,
        threads=1,
    )


def about_here() -> dict[str, Any]:
    """What the standard library's spawned processes are told, less the key for their sockets."""
    about = get_preparation_data("lepta-worker")
    return {name: value for name, value in about.items() if name != "authkey"}


def job_of(function: Callable[..., Any], payload: object) -> bytes:
    """Return a function and what it is given, pickled by reference.

    Raises:
        ConfigError: other processes could not import it.
    """
    main = sys.modules["__main__"]
    typed = function.__module__ == "__main__" and not hasattr(main, "__file__")
    try:
        job = pickle.dumps((function, payload))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"Other processes cannot be given the function or its payload: {error}",
            fix="Define the function at the top of a module, and give plain data and paths.",
        ) from error
    if typed:
        raise ConfigError(
            f"Other processes cannot import {function.__qualname__!r}, which was typed in.",
            fix="Put it into a file and import it from there.",
        )
    return job


@contextmanager
def _asked_by_signal(stop: threading.Event) -> Iterator[None]:
    """Turn SIGTERM into a request to stop; deliver it once the work has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = threading.Event()

    def ask(number: int, frame: object) -> None:
        came.set()
        stop.set()

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
        if came.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
