"""Workers as processes of this machine.

Each is started afresh (no fork), leads a process group of its own, so that what it starts is killed
with it, and hangs on a pipe: whoever loses the other end is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

from lepta.engine.allocator import tune_process
from lepta.engine.limits import usable_cores
from lepta.engine.messages import Answer, Command, Died, Group, Order

_TICK = 0.05
"""Seconds between looks at processes whose pipe is held open by something that they started."""


class Processes:
    """Started workers.

    Args:
        orders: one for each worker.

    Raises:
        OSError: the system refuses more processes.
    """

    def __init__(self, orders: Sequence[Order]) -> None:
        self._workers: dict[int, tuple[subprocess.Popen[bytes], Connection]] = {}
        self._gone: set[int] = set()
        tune_process()
        try:
            for place, order in enumerate(orders):
                self._workers[order.rank] = _start(order, place, len(orders))
        except BaseException:
            self.close()
            raise

    def poll(self, seconds: float) -> list[tuple[int, Answer]]:
        until = time.monotonic() + seconds
        while True:
            found = self._look(min(_TICK, max(0.0, until - time.monotonic())))
            if found or time.monotonic() >= until:
                return found

    def send(self, rank: int, command: Command) -> None:
        if rank not in self._gone:
            with contextlib.suppress(OSError):
                self._workers[rank][1].send(command)

    def close(self, seconds: float = 0.0) -> None:
        until = time.monotonic() + seconds
        for process, _ in self._workers.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
        for process, _ in self._workers.values():
            kill_group(process)
        for process, connection in self._workers.values():
            process.wait()
            connection.close()
        self._workers = {}

    def _look(self, seconds: float) -> list[tuple[int, Answer]]:
        running = {
            connection: rank
            for rank, (_, connection) in self._workers.items()
            if rank not in self._gone
        }
        if not running:
            time.sleep(seconds)
            return []
        dead = {rank for rank in running.values() if self._workers[rank][0].poll() is not None}
        ready = wait(list(running), 0.0 if dead else seconds)
        found: list[tuple[int, Answer]] = []
        for connection in ready:
            assert isinstance(connection, Connection)  # noqa: S101
            found += self._read(running[connection], connection)
        for rank in dead - self._gone:
            found.append((rank, self._bury(rank)))
        return found

    def _read(self, rank: int, connection: Connection) -> list[tuple[int, Answer]]:
        found: list[tuple[int, Answer]] = []
        try:
            while connection.poll():
                found.append((rank, connection.recv()))
        except (EOFError, OSError):
            found.append((rank, self._bury(rank)))
        return found

    def _bury(self, rank: int) -> Died:
        self._gone.add(rank)
        return death_of(self._workers[rank][0])


class LocalSeats:
    """Places for workers on this machine.

    Args:
        slots: says how many workers may run now.
        threads: for all workers together; None for the usable cores.
    """

    def __init__(self, slots: Callable[[], int], threads: int | None = None) -> None:
        self._slots, self._threads = slots, threads or usable_cores()

    def count(self) -> int:
        return self._slots()

    def start(self, order: Order) -> Group:
        threads = max(1, self._threads // order.world)
        return Processes(
            [replace(order, rank=rank, threads=threads) for rank in range(order.world)]
        )

    def close(self) -> None:
        pass


def _start(order: Order, place: int, places: int) -> tuple[subprocess.Popen[bytes], Connection]:
    devices = _devices()
    ours = {"CUDA_VISIBLE_DEVICES": devices[place]} if len(devices) >= places > 1 else {}
    return start_process("lepta.engine.child", order, order.threads, ours)


def start_process(
    module: str, first: object, threads: int, variables: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start ``python -m MODULE PIPE PARENT``, the leader of a process group; tell it ``first``.

    Args:
        module: what the process runs.
        first: sent through the pipe at once.
        threads: for OpenMP.
        variables: of the environment, besides this process's own.

    Raises:
        OSError: the system refuses more processes.
    """
    here, there = Pipe()
    try:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", module, str(there.fileno()), str(os.getpid())],
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            env={**_environment(threads), **variables},
            process_group=0,
        )
    except BaseException:
        here.close()
        raise
    finally:
        there.close()
    with contextlib.suppress(OSError):  # dead already: the next look finds it
        here.send(first)
    return process, here


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a group, and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _environment(threads: int) -> dict[str, str]:
    """Threads, set before any library is loaded; this package must be found."""
    home = str(Path(__file__).resolve().parents[2])
    paths = [home, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path for path in paths if path)),
    }


def _devices() -> list[str]:
    """Names of the NVIDIA devices that may be used, without loading a library."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name.strip()]
    with contextlib.suppress(OSError):
        nodes = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia*")]
        return [str(number) for number in range(sum(name.isdigit() for name in nodes))]
    return []


def death_of(process: subprocess.Popen[bytes]) -> Died:
    """Say how a process ended whose pipe is closed."""
    try:
        status = process.wait(1.0)
    except subprocess.TimeoutExpired:
        return Died("it closed its pipe")
    return Died(_reason(status))


def _reason(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
