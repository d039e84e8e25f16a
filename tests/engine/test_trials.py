"""Workers of a search: state, results, errors, deaths, limits; alike here and on Ray."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import calls
import numpy as np
import pytest

from lepta.core.errors import ConfigError, DataError
from lepta.engine.limits import usable_cores
from lepta.engine.trial_local import LocalTrials, cores_of
from lepta.engine.trials import Line, TrialError, Trials, open_trials

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def gone(pid: int) -> bool:
    """Whether a process has ended, with all its threads, which hold its pipe."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state == "Z" and len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    except OSError:
        return True


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def end(trials: Trials, count: int = 1) -> list[Any]:
    found = []
    while len(found) < count:
        found += trials.wait(60)
    return sorted(found, key=lambda one: one.key)


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trials") / "notes"


@pytest.fixture(scope="module", params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def trials(request: pytest.FixtureRequest, notes: Path) -> Iterator[Trials]:
    """Two workers, whatever each test does to them."""
    if request.param == "ray" and find_spec("ray") is None:  # the cluster's start imports it
        pytest.skip("Ray is not installed")
    notes.unlink(missing_ok=True)
    with open_trials(
        calls.setup,
        (str(notes), 10),
        engine=request.param,
        workers=2,
        memory=512 << 20,
        answer=calls.answer,
    ) as made:
        yield made


def test_workers_keep_their_state_and_are_reused(trials: Trials, notes: Path) -> None:
    assert trials.idle == 2
    assert trials.wait(5) == []
    pids = set()
    for turn in range(5):
        for key in (2 * turn, 2 * turn + 1):
            trials.submit(key, calls.add, key)
        assert trials.idle == 0
        found = end(trials, 2)
        assert [(one.key, one.value[0]) for one in found] == [
            (key, 10 + key) for key in (2 * turn, 2 * turn + 1)
        ]
        pids |= {one.value[1] for one in found}
        assert all(one.error is None and 0 <= one.seconds < 30 for one in found)
    assert len(pids) == 2
    assert notes.read_text() == "made\nmade\n"


def test_a_key_is_used_once_and_a_worker_has_one_call(trials: Trials) -> None:
    trials.submit(1, calls.sleep, 0.3)
    with pytest.raises(ValueError, match="in use"):
        trials.submit(1, calls.add, 1)
    trials.submit(2, calls.sleep, 0.3)
    with pytest.raises(ValueError, match="idle"):
        trials.submit(3, calls.add, 1)
    assert trials.wait(0.01) == []
    assert [one.key for one in end(trials, 2)] == [1, 2]
    with pytest.raises(ConfigError, match="cannot be given the function"):
        trials.submit(3, lambda state: 1)
    assert trials.idle == 2


def test_errors_come_back_whole(trials: Trials) -> None:
    trials.submit(1, calls.fail, "ours")
    trials.submit(2, calls.fail, "value")
    ours, theirs = end(trials, 2)
    assert isinstance(ours.error, DataError)
    assert (str(ours.error.where), ours.error.fix) == ("file b.npy", "Remove it.")
    assert isinstance(theirs.error, ValueError)
    assert "calls.py" in "".join(theirs.error.__notes__)


@pytest.mark.parametrize("how", [calls.die, calls.leave])
def test_a_worker_that_dies_is_replaced(trials: Trials, how: Callable[..., None]) -> None:
    trials.submit(1, how)
    trials.submit(2, calls.add, 5)
    died, other = end(trials, 2)
    assert other.value[0] == 15
    assert isinstance(died.error, TrialError | SystemExit)
    for key in (3, 4):
        trials.submit(key, calls.add, 1)
    assert [one.value[0] for one in end(trials, 2)] == [11, 11]


def test_too_much_memory_fails_the_call_alone(trials: Trials) -> None:
    trials.submit(1, calls.hold, 100)
    trials.submit(2, calls.grab)
    slow, fast = end(trials, 2)
    for one in (slow, fast):
        assert isinstance(one.error, TrialError)
        assert one.error.reason == "memory"
        assert "memory" in str(one.error)
    for _ in range(3):  # what one call has given back does not count against the next
        trials.submit(3, calls.hold, 8)
        (one,) = end(trials)
        assert one.value == 8


def test_a_cancelled_call_ends_at_once(trials: Trials) -> None:
    trials.submit(1, calls.sleep, 60)
    trials.submit(2, calls.sleep, 0.2)
    trials.wait(0.05)
    began = time.monotonic()
    trials.cancel(1)
    one, other = end(trials, 2)
    assert time.monotonic() - began < 10
    assert isinstance(one.error, TrialError)
    assert one.error.reason == "cancelled"
    assert other.error is None
    trials.cancel(7)
    trials.submit(1, calls.add, 1)
    assert end(trials)[0].value[0] == 11


def test_large_results_come_back(trials: Trials) -> None:
    trials.submit(1, calls.weigh, 30)
    trials.submit(2, calls.weigh, 30)
    for one in end(trials, 2):
        assert np.array_equal(one.value, np.arange(30 << 17))


def test_a_call_asks_and_is_answered(trials: Trials) -> None:
    trials.submit(1, calls.ask, Line(), 3)
    trials.submit(2, calls.ask, Line(), 2)
    assert [one.value for one in end(trials, 2)] == [[100, 101, 102], [200, 201]]


def test_a_setup_that_fails_fails_each_call() -> None:
    with LocalTrials(calls.fail_to_set_up, workers=1) as trials:
        for key in range(2):
            trials.submit(key, calls.add, 1)
            (one,) = end(trials)
            assert isinstance(one.error, DataError)
            assert one.error.fix == "Bring them back."


def test_idle_workers_that_died_are_replaced(tmp_path: Path) -> None:
    with LocalTrials(calls.setup, (str(tmp_path / "notes"), 1), workers=1) as trials:
        trials.submit(1, calls.add, 1)
        (one,) = end(trials)
        os.kill(one.value[1], signal.SIGKILL)
        eventually(lambda: gone(one.value[1]))
        trials.submit(2, calls.add, 1)
        (other,) = end(trials)
        assert other.value[0] == 2
        assert other.value[1] != one.value[1]


def test_threads_and_cores(tmp_path: Path) -> None:
    count = usable_cores()
    with LocalTrials(calls.setup, (str(tmp_path / "notes"), 1), workers=count) as trials:
        for key in range(count):
            trials.submit(key, calls.threads_and_cores)
        found = [one.value for one in end(trials, count)]
    assert {threads for threads, _ in found} == {"1"}
    assert len({tuple(cores) for _, cores in found}) == count
    assert all(len(cores) == 1 for _, cores in found)


def test_cores_are_shared_out() -> None:
    count = usable_cores()
    assert cores_of(1, 1, range(8)) == [(0,)]
    assert cores_of(count + 1, 1, range(count + 1)) == [None] * (count + 1)
    assert cores_of(1, count, range(8, 8 + count)) == [tuple(range(8, 8 + count))]


def test_closing_leaves_no_process(tmp_path: Path) -> None:
    trials = LocalTrials(calls.setup, (str(tmp_path / "notes"), 1), workers=2)
    trials.submit(1, calls.sleep, 60)
    pids = trials.pids
    assert len(pids) == 2
    trials.close()
    assert all(map(gone, pids))


def test_workers_that_do_not_exist_are_told() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'local'"):
        open_trials(calls.setup, engine="locl")


DRIVER = """
import sys, time, calls
from lepta.engine.trial_local import LocalTrials
trials = LocalTrials(calls.setup, (sys.argv[1], 1), workers=2)
trials.submit(1, calls.add, 1)
print(trials.wait()[0].value[0], *trials.pids, flush=True)
trials.submit(2, calls.sleep, 60)
time.sleep(60)
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    paths = [str(Path(__file__).parent), *sys.path]
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path / "notes")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout is not None
    value, *pids = map(int, driver.stdout.readline().split())
    assert value == 2
    driver.kill()
    driver.communicate()
    eventually(lambda: all(map(gone, pids)), 5)
