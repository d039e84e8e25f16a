"""Training functions that misbehave, none of which needs torch."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from lepta.core.errors import DataError, Where
from lepta.engine import Worker


class OddError(Exception):
    """Cannot be unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"odd {one} {two}")


def crash(worker: Worker, path: str) -> None:
    _note(path, "x")
    os._exit(3)


def fail(worker: Worker, kind: str) -> None:
    errors = {
        "value": ValueError("no such thing"),
        "odd": OddError(1, 2),
        "ours": DataError("The file is empty.", where=Where(file="b.npy"), fix="Remove it."),
    }
    raise errors[kind]


def count(worker: Worker, payload: tuple[str, int, int]) -> tuple[int, int, int | None]:
    """Count to a number with a checkpoint each; die once at each multiple of the other."""
    path, last, deadly = payload
    members = worker.load()
    value = int(members["value"]) if members else 0
    _note(path, f"{value} ")
    while value < last and not worker.should_stop():
        value += 1
        worker.save({"value": str(value).encode()}, value)
        worker.report(value=value)
        if value % deadly == 0:
            os._exit(9)
        time.sleep(0.01)
    return value, worker.world, worker.context.threads


def spawn_and_crash(worker: Worker, path: str) -> str:
    if worker.load() is not None:
        return "done"
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(path).write_text(str(child.pid))
    worker.save({}, 1)
    os._exit(1)


def warn(worker: Worker, payload: None) -> int:
    worker.context.say("careful", "warning")
    with worker.context.stage("counting", 2) as stage:
        stage.advance(2, loss=1.0)
    return worker.context.seed


def _note(path: str, text: str) -> None:
    with Path(path).open("a") as stream:
        stream.write(text)


def until_worlds(worker: Worker, payload: tuple[int, ...]) -> tuple[int, ...]:
    """Train until these worlds have been, one after the other."""
    members = worker.load()
    worlds = json.loads(members["worlds"]) if members else []
    if not worlds or worlds[-1] != worker.world:
        worlds.append(worker.world)
    step = int(members["step"]) if members else 0
    stopping = False
    while not stopping and len(worlds) < len(payload):
        step += 1
        worker.report(value=step)
        time.sleep(0.02)
        stopping = worker.should_stop()
        state = {"worlds": json.dumps(worlds).encode(), "step": str(step).encode()}
        worker.save(state, step)
    return tuple(worlds)
