"""Checkpoints: round trip, damage, kills and full disks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.errors import TrainError
from lepta.core.events import Context, Event, Message, StageAdvanced, StageStarted
from lepta.engine import Alone
from lepta.engine.checkpoints import Checkpoints, read

MEMBERS = {"model": b"weights" * 100, "empty": b"", "step": b"7"}


@given(st.dictionaries(st.text(), st.binary(max_size=64), max_size=5), st.integers(0, 10**11))
@settings(max_examples=25, deadline=None)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes], step: int
) -> None:
    store = Checkpoints(tmp_path_factory.mktemp("run"))
    store.write(members, step)
    assert store.newest() == (step, members)
    assert list((store.newest() or (0, {}))[1]) == list(members)
    assert store.latest_step() == step
    store.release()


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "new" / "run")
    assert store.newest() is None
    assert store.latest_step() == -1
    for step in (5, 9, 10):
        store.write({"step": str(step).encode()}, step)
    assert [path.name[:17] for path in store.files()] == ["step-000000000010", "step-000000000009"]


@pytest.mark.parametrize("where", [0, 10, 50, 120, -1])
def test_a_flipped_byte_falls_back_to_the_one_before(tmp_path: Path, where: int) -> None:
    worker = Alone(tmp_path, Context(report=(events := list[Event]()).append))
    worker.save({"w": b"old"}, 1)
    worker.save(MEMBERS, 2)
    newest = Checkpoints(tmp_path).files()[0]
    data = bytearray(newest.read_bytes())
    data[where] ^= 1
    newest.write_bytes(data)
    assert worker.load() == {"w": b"old"}
    assert any(isinstance(event, Message) and "damaged" in event.text for event in events)


@pytest.mark.parametrize("size", [0, 7, 39, 45, 200])
def test_a_half_written_one_falls_back(tmp_path: Path, size: int) -> None:
    store = Checkpoints(tmp_path)
    store.write({"w": b"old"}, 1)
    store.write(MEMBERS, 2)
    with store.files()[0].open("r+b") as stream:
        stream.truncate(size)
    assert store.newest() == (1, {"w": b"old"})
    assert read(tmp_path / "absent") is None


FULL = """
import resource, signal, sys
from lepta.core.errors import TrainError
from lepta.engine import Alone
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
worker = Alone(sys.argv[1])
worker.save({"w": b"small"}, 1)
try:
    worker.save({"w": bytes(1_000_000)}, 2)
except TrainError as error:
    print(error)
"""


def test_a_limit_of_file_size_leaves_the_old_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, check=True, text=True
    )
    assert "The disk is full; the last 1 stand." in done.stdout
    assert "Free some space" in done.stdout
    assert Checkpoints(tmp_path).newest() == (1, {"w": b"small"})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "lock",
        "step-000000000001.checkpoint",
    ]


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting needs root")
def test_a_full_disk_leaves_the_old_one(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        store = Checkpoints(tmp_path)
        store.write({"w": b"small"}, 1)
        with pytest.raises(TrainError, match="The disk is full"):
            store.write({"w": bytes(1_000_000)}, 2)
        assert store.newest() == (1, {"w": b"small"})
        store.release()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


KILLED = """
import os, sys, threading
from lepta.engine import Alone
worker = Alone(sys.argv[1])
worker.save({"w": b"old"}, 1)
print("go", flush=True)
step = 2
while True:
    worker.save({"w": bytes(3_000_000) + str(step).encode(), "n": str(step).encode()}, step)
    step += 1
"""


def test_killed_writers_leave_a_whole_one(tmp_path: Path) -> None:
    for wait in (0.01, 0.05, 0.1):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(wait)
        process.kill()
        process.communicate()
        found = Checkpoints(tmp_path).newest()
        assert found is not None
        step, members = found
        assert members["w"].endswith(members.get("n", b"old"))
        assert step == int(members.get("n", b"1"))
    store = Checkpoints(tmp_path)
    store.hold()
    assert not list(tmp_path.glob(".*.tmp"))
    store.release()


HOLDER = """
import sys, time
from lepta.engine.checkpoints import Checkpoints
store = Checkpoints(sys.argv[1])
store.hold()
print("held", flush=True)
time.sleep(60)
"""


def test_a_folder_belongs_to_one_process(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()
        with pytest.raises(TrainError, match="Another process trains"):
            Checkpoints(tmp_path, patience=0.1).hold()
    finally:
        process.kill()
        process.communicate()
    Checkpoints(tmp_path, patience=5).hold()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainError, match="could not be written"):
        Alone(tmp_path / "file" / "run").save({}, 1)


def test_alone_reports_and_stops_at_the_deadline(tmp_path: Path) -> None:
    events: list[Event] = []
    worker = Alone(context=Context(report=events.append))
    assert (worker.rank, worker.world, worker.folder) == (0, 1, None)
    assert worker.load() is None
    worker.save({"w": b""}, 1)
    worker.report(loss=2.0)
    worker.report(loss=1.0)
    assert events == [
        StageStarted("training", None, "report"),
        StageAdvanced("training", 1, {"loss": 2.0}),
        StageAdvanced("training", 2, {"loss": 1.0}),
    ]
    assert not worker.should_stop()
    assert Alone(context=Context(deadline=0.0)).should_stop()
