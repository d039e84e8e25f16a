"""Where a store is, how it is made, and what it leaves alone."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lepta.core.errors import StoreError
from lepta.core.events import Event, StageFinished, StageStarted
from lepta.store import Store
from lepta.store.location import locate


def run_python(script: str, *arguments: object, **environment: str) -> str:
    """Run ``script`` with warnings as errors; return what it printed on both streams."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        env=outside | environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_default_is_a_folder_in_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = locate(None)
    assert place.database == tmp_path / ".lepta" / "store.db"
    assert place.artifacts == tmp_path / ".lepta" / "artifacts"


def test_mlflow_tracking_uri_is_honoured(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'store.db'}")
    with Store().run("here"):
        pass
    assert [run.experiment for run in Store(folder).runs()] == ["here"]
    assert not (tmp_path / ".lepta").exists()
    assert not (tmp_path / "mlruns").exists()


def test_a_server_keeps_its_artefacts_itself() -> None:
    place = locate("http://127.0.0.1:5000")
    assert (place.tracking, place.database, place.artifacts) == (
        "http://127.0.0.1:5000",
        None,
        None,
    )


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "file:mlruns"])
def test_the_deprecated_file_store_is_refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="file store"):
        Store(uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    with pytest.raises(StoreError, match="file store"):
        Store()


def test_looking_into_an_absent_store_makes_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert store.runs() == []
    assert store.models() == []
    assert list(tmp_path.iterdir()) == []


def test_making_the_database_is_a_stage(made: tuple[Path, list[Event]]) -> None:
    path, events = made
    assert [type(event) for event in events] == [StageStarted, StageFinished]
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]
    with sqlite3.connect(path) as database:
        assert database.execute("select count(*) from alembic_version").fetchone() == (1,)


def test_a_damaged_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"this is no database, " * 100)
    with pytest.raises(StoreError, match="not a database") as caught:
        Store(tmp_path).runs()
    assert "backup" in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_database_of_another_version_is_a_clear_error(folder: Path) -> None:
    with sqlite3.connect(folder / "store.db") as database:
        database.execute("update alembic_version set version_num = 'from_the_future'")
    with pytest.raises(StoreError, match="schema") as caught:
        Store(folder).runs()
    assert "mlflow db upgrade" in str(caught.value)


def test_a_server_that_does_not_answer_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StoreError, match="failed"):
        Store("http://127.0.0.1:9").runs()


@pytest.mark.slow
def test_killed_while_making_the_database_it_leaves_none(tmp_path: Path, bundle: Path) -> None:
    script = "import sys; from lepta.store import Store; Store(sys.argv[1]).run('x')"
    worker = subprocess.Popen([sys.executable, "-c", script, tmp_path / "s"])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("s/.store.db.*")) or _size(tmp_path) < 100_000:
        assert worker.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert not (tmp_path / "s" / "store.db").exists()
    assert Store(tmp_path / "s").register("ct", bundle).version == 1


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("s/.store.db.*"))


@pytest.mark.slow
def test_two_processes_make_the_database_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; from lepta.store import Store\n"
        "with Store(sys.argv[1]).run('x') as run: run.log({'a': 1.0})"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for worker in workers:
        assert (worker.communicate(timeout=120)[1], worker.returncode) == (b"", 0)
    assert [run.metrics for run in Store(tmp_path).runs()] == [{"a": 1.0}] * 2
    assert [file.name for file in tmp_path.iterdir()] == ["store.db"]


def test_it_is_silent_reports_to_nobody_and_leaves_no_trace(folder: Path, tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "before = dict(os.environ)\n"
        "from lepta.store import Store\n"
        "with Store(sys.argv[1]).run('x', params={'a': 1}) as run: run.log({'a': 1.0})\n"
        "import mlflow\n"
        "from mlflow.telemetry import get_telemetry_client\n"
        "from mlflow.tracking._tracking_service import utils\n"
        "assert get_telemetry_client() is None\n"
        "changed = set(os.environ.items()) ^ set(before.items())\n"
        "assert not {k for k, _ in changed} - {'_RJEM_MALLOC_CONF'}, changed  # polars\n"
        "assert utils._tracking_uri is None\n"
        "assert mlflow.active_run() is None\n"
        "import threading; print(threading.enumerate() == [threading.main_thread()])\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    output = run_python(script, folder, HOME=str(home), AI_AGENT="any", CLAUDECODE="1")
    assert output == "True\n"
    assert list(home.rglob("*")) == []
