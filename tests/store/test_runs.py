import math
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.errors import StoreError
from lepta.store import Store
from lepta.store.run import metric_name


def test_a_run_keeps_its_params_metrics_and_state(store: Store) -> None:
    with store.run("ct", name="first", params={"lr": 0.1, "wide": "x" * 9000}) as run:
        for step in range(3):
            run.log({"loss": 1.0 / (step + 1), "recall[lesion]": 0.5}, step=step)
    (info,) = store.runs()
    assert (info.id, info.name, info.experiment) == (run.id, "first", "ct")
    assert info.status == "finished"
    assert info.metrics == {"loss": pytest.approx(1 / 3), "recall.lesion": 0.5}
    assert info.params["lr"] == "0.1"
    assert len(info.params["wide"]) == 6000
    assert info.started.tzinfo is not None


def test_every_step_is_in_the_database(store: Store, folder: Path) -> None:
    with store.run("ct") as run:
        for step in range(30):
            run.log({f"m{i}": float(i) for i in range(100)}, step=step)
    with sqlite3.connect(folder / "store.db") as database:
        rows = database.execute("select count(*), count(distinct step) from metrics").fetchone()
    assert rows == (3000, 30)


def test_logging_returns_before_it_is_written(store: Store) -> None:
    with store.run("ct") as run:
        begin = time.thread_time()
        for step in range(50):
            run.log({f"m{i}": 1.0 for i in range(100)}, step=step)
        assert time.thread_time() - begin < 0.5


def test_a_failed_block_is_recorded_with_what_it_logged(store: Store) -> None:
    def train() -> None:
        with store.run("ct") as run:
            run.log({"loss": 3.0})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    (info,) = store.runs("ct")
    assert (info.status, info.metrics) == ("failed", {"loss": 3.0})


def test_ctrl_c_is_recorded(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), store.run("ct"):
        raise KeyboardInterrupt
    assert store.runs("ct")[0].status == "killed"


def test_closing_a_run_prints_no_address(
    store: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As with a server, where MLflow prints the run's address unless told not to."""
    from mlflow.tracking._tracking_service import client

    run = store.run("ct")
    backend = store._client._tracking_client.store
    monkeypatch.setattr(client, "RestStore", type(backend))
    host = SimpleNamespace(host="http://server")
    monkeypatch.setattr(type(backend), "get_host_creds", lambda _: host, raising=False)
    with run:
        run.log({"a": 1.0})
    assert capfd.readouterr() == ("", "")
    assert "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT" not in os.environ


def test_nan_and_infinity_do_not_break_a_run(store: Store) -> None:
    with store.run("ct") as run:
        run.log({"a": math.nan, "b": math.inf, "c": -math.inf})
    metrics = store.runs()[0].metrics
    assert math.isnan(metrics["a"])
    assert metrics["b"] == -metrics["c"] > 1e300


def test_the_newest_run_comes_first_and_experiments_are_apart(store: Store) -> None:
    for experiment in ("a", "b", "a"):
        with store.run(experiment):
            time.sleep(0.002)
    assert [run.experiment for run in store.runs()] == ["a", "b", "a"]
    assert len(store.runs("a")) == 2


def test_an_unknown_experiment_is_an_error_with_a_suggestion(store: Store) -> None:
    with store.run("lesions"):
        pass
    with pytest.raises(StoreError, match="Did you mean 'lesions'"):
        store.runs("lesion")


def test_a_write_error_reaches_the_caller(store: Store, folder: Path) -> None:
    run = store.run("ct")
    with sqlite3.connect(folder / "store.db") as database:
        database.execute("drop table metrics")
    with pytest.raises(StoreError, match="Logging metrics"), run:
        run.log({"loss": 1.0})


def test_two_processes_log_at_once(store: Store, folder: Path) -> None:
    store.run("ct").__enter__().__exit__(None, None, None)
    script = (
        "import sys; from lepta.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "for r in range(3):\n"
        "    with store.run('ct', params={'a': 1}) as run:\n"
        "        for s in range(10):\n"
        "            run.log({f'm{i}': i for i in range(20)}, step=s)\n"
        "            run.flush()\n"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", script, folder], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert (worker.returncode, errors) == (0, b"")
    assert [run.status for run in store.runs("ct")] == ["finished"] * 7
    with sqlite3.connect(folder / "store.db") as database:
        assert database.execute("select count(*) from metrics").fetchone() == (2 * 3 * 10 * 20,)


@given(st.text(min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_every_name_becomes_one_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(metric_name(name))
