"""Training in one process and in several: results, errors, kills, elastic worlds, stops."""

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import small
import toy

from lepta.core.errors import ConfigError, DataError, TrainError, Where
from lepta.core.events import Context, Event, Message, StageAdvanced, StageFinished, StageStarted
from lepta.engine import Worker, train
from lepta.engine.checkpoints import Checkpoints

ROWS = 250
SUPERVISED = {"elastic": (1, 2), "slots": lambda: 1}
"""One worker in a process of its own."""


def children(parent: int, word: bytes = b"lepta.engine.child") -> list[int]:
    """Process ids of the living workers of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
            named = word in (path / "cmdline").read_bytes()
        except OSError:
            continue
        if named and int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(path.name))
    return sorted(found)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: object, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> toy.Done:
    """The result of two workers whom nobody kills."""
    folder = tmp_path_factory.mktemp("undisturbed")
    job = toy.make(folder, ROWS)
    done = train(toy.learn, job, folder=folder / "run", workers=2, context=Context(seed=3))
    toy.check_coverage(job, ROWS)
    assert done.losses[-1] < done.losses[0] / 2
    assert done.worlds == [2]
    return done


DRIVER = """
import sys, toy
from pathlib import Path
from lepta.core.events import Context
from lepta.engine import train
folder = Path(sys.argv[1])
train(toy.learn, toy.make(folder, 250, pause=0.03), folder=folder / "run", workers=2,
      context=Context(seed=3))
"""


def driver(folder: Path) -> "subprocess.Popen[bytes]":
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(folder)], env=environment)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_kills_change_nothing(undisturbed: toy.Done, tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "run")
    process = driver(tmp_path)
    wait_for(lambda: store.latest_step() >= 4)
    workers = children(process.pid)
    assert len(workers) == 2
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(alive, workers)), 5)

    job = toy.make(tmp_path, ROWS, pause=0.03)
    chosen = random.Random(1)
    steps = iter([9, 16])
    following = next(steps)
    killed = []

    def kill(event: Event) -> None:
        nonlocal following
        if isinstance(event, StageAdvanced) and store.latest_step() >= following:
            following = next(steps, 10**9)
            killed.append(chosen.choice(children(os.getpid())))
            os.kill(killed[-1], signal.SIGKILL)

    context = Context(seed=3, report=kill)
    done = train(toy.learn, job, folder=tmp_path / "run", workers=2, context=context)
    assert len(set(killed)) == 2
    assert done == undisturbed
    toy.check_coverage(job, ROWS)
    assert children(os.getpid()) == []


def test_the_world_shrinks_and_grows_with_the_slots(tmp_path: Path) -> None:
    job = toy.make(tmp_path, ROWS, pause=0.03, epochs=14)
    room, events = [1], list[Event]()

    def report(event: Event) -> None:
        """Ask for the other world at the fifth step of one."""
        events.append(event)
        if isinstance(event, StageAdvanced) and event.done == 5:
            changes = sum(isinstance(one, Message) for one in events)
            room[0] = [2, 1, 1][changes]

    done = train(
        toy.learn,
        job,
        folder=tmp_path / "run",
        elastic=(1, 2),
        slots=lambda: room[0],
        context=Context(seed=3, report=report),
    )
    assert done.worlds == [1, 2, 1]
    toy.check_coverage(job, ROWS)
    told = [event.text for event in events if isinstance(event, Message)]
    assert told == [
        "Training goes on with 2 workers, after 1.",
        "Training goes on with 1 workers, after 2.",
    ]


def test_one_worker_runs_here(tmp_path: Path) -> None:
    def nested(worker: Worker, payload: int) -> tuple[int, int, int]:
        return os.getpid(), worker.world, payload

    assert train(nested, 7, folder=tmp_path) == (os.getpid(), 1, 7)


def test_a_function_that_dies_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    note = tmp_path / "note"
    events: list[Event] = []
    context = Context(report=events.append, threads=3)
    found = train(
        small.count, (str(note), 20, 5), folder=tmp_path, restarts=1, context=context, **SUPERVISED
    )
    assert found == (20, 1, 3)
    assert note.read_text() == "0 5 10 15 20 "
    told = [event.text for event in events if isinstance(event, Message)]
    assert told == ["Training is begun again: worker 0 of 1 was lost (exit status 9)."] * 4


def test_without_a_new_checkpoint_it_ends_after_the_restarts(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with pytest.raises(TrainError, match=r"broken off 3 times .*exit status 3") as caught:
        train(small.crash, str(note), folder=tmp_path, restarts=2, **SUPERVISED)
    assert note.read_text() == "xxx"
    assert "fewer workers" in (caught.value.fix or "")


def test_errors_cross_the_processes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such thing") as caught:
        train(small.fail, "value", folder=None, **SUPERVISED)
    assert "small.py" in caught.value.__notes__[0]
    with pytest.raises(DataError, match="The file is empty") as ours:
        train(small.fail, "ours", folder=None, **SUPERVISED)
    assert (ours.value.where, ours.value.fix) == (Where(file="b.npy"), "Remove it.")
    with pytest.raises(TrainError, match="OddError: odd 1 2"):
        train(small.fail, "odd", folder=None, **SUPERVISED)


def test_what_a_worker_started_dies_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    assert train(small.spawn_and_crash, str(note), folder=tmp_path, **SUPERVISED) == "done"
    wait_for(lambda: not alive(int(note.read_text())), 5)


def test_events_and_the_seed_pass(tmp_path: Path) -> None:
    events: list[Event] = []
    context = Context(seed=11, report=events.append)
    assert train(small.warn, None, folder=None, context=context, **SUPERVISED) == 11
    assert events[:3] == [
        Message("careful", "warning"),
        StageStarted("counting", 2),
        StageAdvanced("counting", 2, {"loss": 1.0}),
    ]
    assert isinstance(events[3], StageFinished)


@pytest.mark.parametrize("options", [{}, SUPERVISED])
def test_the_deadline_ends_it_with_a_result(tmp_path: Path, options: dict[str, object]) -> None:
    context = Context(deadline=time.monotonic() + 1.5)
    payload = (str(tmp_path / "note"), 10**6, 10**7)
    value, *_ = train(small.count, payload, folder=tmp_path, context=context, **options)
    assert 1 <= value < 1000
    assert Checkpoints(tmp_path).latest_step() == value


TERMINATED = """
import sys, small
from pathlib import Path
from lepta.engine import train
folder = Path(sys.argv[1])
options = {"elastic": (1, 2), "slots": lambda: 1} if sys.argv[2] == "1" else {}
train(small.count, (str(folder / "note"), 10**6, 10**7), folder=folder, **options)
"""


@pytest.mark.parametrize("supervised", ["0", "1"])
def test_sigterm_saves_and_ends(tmp_path: Path, supervised: str) -> None:
    paths = [str(Path(__file__).parent), *sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", TERMINATED, str(tmp_path), supervised],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    store = Checkpoints(tmp_path)
    wait_for(lambda: store.latest_step() > 5)
    process.terminate()
    assert process.wait(20) == -signal.SIGTERM
    found = store.newest()
    assert found is not None
    assert int(found[1]["value"]) == found[0]


def test_options_that_cannot_be_are_told(tmp_path: Path) -> None:
    def nested(worker: Worker, payload: int) -> None: ...

    with pytest.raises(ConfigError, match="cannot be given the function"):
        train(nested, 1, folder=tmp_path, workers=2)
    with pytest.raises(ConfigError, match="cannot be given"):
        train(small.warn, threading.Lock(), folder=tmp_path, workers=2)  # type: ignore[arg-type]
    for wrong in ({"workers": 0}, {"elastic": (2, 1)}, {"restarts": -1}):
        with pytest.raises(ConfigError, match="cannot be"):
            train(small.warn, None, folder=tmp_path, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Did you mean 'ray'"):
        train(small.warn, None, folder=tmp_path, engine="rey")  # type: ignore[arg-type]


def test_what_workers_are_told_is_picklable() -> None:
    from lepta.engine.launch import about_here

    assert pickle.loads(pickle.dumps(about_here()))["sys_path"]
