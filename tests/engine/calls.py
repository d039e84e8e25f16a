"""Calls of a search that do well, and calls that misbehave; none needs torch."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from lepta.core.errors import DataError, Where
from lepta.engine.trials import Line


def setup(path: str, number: int) -> tuple[int, int]:
    """Note that a state is made."""
    with Path(path).open("a") as stream:
        stream.write("made\n")
    return number, os.getpid()


def fail_to_set_up() -> None:
    raise DataError("The data are gone.", where=Where(file="a.csv"), fix="Bring them back.")


def add(state: tuple[int, int], number: int) -> tuple[int, int]:
    return state[0] + number, state[1]


def fail(state: object, kind: str) -> None:
    if kind == "ours":
        raise DataError("The file is empty.", where=Where(file="b.npy"), fix="Remove it.")
    raise ValueError("no such thing")


def die(state: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(state: object) -> None:
    sys.exit(3)


def sleep(state: object, seconds: float) -> None:
    time.sleep(seconds)


def hold(state: object, count: int) -> int:
    """Take memory a piece at a time."""
    pieces = []
    for _ in range(count):
        pieces.append(np.ones(1 << 22))  # 32 MiB
        time.sleep(0.02)
    return len(pieces)


def grab(state: object) -> int:
    """Take more memory than may be, at once, without letting anybody else run."""
    return len([0] * 10**10)


def weigh(state: object, megabytes: int) -> "np.ndarray":
    return np.arange(megabytes << 17, dtype=np.float64)


def threads_and_cores(state: object) -> tuple[str, list[int]]:
    return os.environ["OMP_NUM_THREADS"], sorted(os.sched_getaffinity(0))


def ask(state: object, line: Line, count: int) -> list[int]:
    return [line.ask(number) for number in range(count)]


def answer(key: int, question: int) -> int:
    return 100 * key + question
