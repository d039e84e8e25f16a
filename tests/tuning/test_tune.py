"""``tune``: small studies of real data, from data to bundle, killed and interrupted."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import lepta
from lepta.app.cli import main
from lepta.core.errors import ConfigError, TrainError
from lepta.core.events import Context, Event, Message, StageAdvanced

pytest.importorskip("optuna")

SPACE = {"loop.learning_rate": "0.0003..0.1 log", "loop.batch": "16|32|64"}
NETWORK: dict[str, Any] = {
    "learner": "mlp",
    "space": SPACE,
    "settings": {"loop.epochs": 9},
    "device": "cpu:fp32",
    "audit": False,
}


@pytest.fixture(scope="module")
def cancer() -> lepta.Dataset:
    frame = load_breast_cancer(as_frame=True).frame
    return lepta.Dataset.read(frame, target="target")


def trials_of(bundle: lepta.Bundle) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bundle.read("tuning.json"))["trials"]
    return found


def test_a_study_ends_in_a_bundle(cancer: lepta.Dataset, tmp_path: Path) -> None:
    events: list[Event] = []
    context = Context(report=events.append)
    bundle = lepta.tune(
        cancer, trials=6, workers=2, folder=tmp_path / "study", context=context, **NETWORK
    )
    trials = trials_of(bundle)
    assert [trial["number"] for trial in trials] == list(range(6))
    assert {trial["state"] for trial in trials} <= {"ended", "given up"}
    ended = [trial for trial in trials if trial["state"] == "ended"]
    assert all(trial["seconds"] > 0 and trial["cpu_seconds"] > 0 for trial in ended)
    best = min(ended, key=lambda trial: trial["loss"])
    settings = bundle.manifest.lineage.config["fit"]["settings"]
    assert settings == {"loop.epochs": 9, **best["params"]}
    assert b"<svg" in bundle.read("tuning.html")
    assert (tmp_path / "study" / "tuning.html").read_bytes() == bundle.read("tuning.html")
    loaded = lepta.Bundle.load(bundle.save(tmp_path / "cancer.lepta"))
    assert loaded == bundle
    assert len(lepta.predict(loaded, cancer.inputs())) == len(cancer)

    again = lepta.fit(cancer, from_bundle=loaded)
    assert again.read("model.onnx") == bundle.read("model.onnx")

    notes = [event.note for event in events if isinstance(event, StageAdvanced)]
    assert any(note.startswith("trial 3: at random") for note in notes)
    texts = [event.text for event in events if isinstance(event, Message)]
    assert any("is the best so far: log_loss" in text for text in texts)


def test_more_trials_later(cancer: lepta.Dataset, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "learner": "trees",
        "space": {"learning_rate": "0.01..0.3 log", "leaves": [7, 24, 40]},
        "settings": {"rounds": 60},
        "workers": 1,
        "audit": False,
    }
    short = lepta.tune(cancer, trials=3, folder=tmp_path, **options)
    more = lepta.tune(cancer, trials=6, folder=tmp_path, **options)
    same = lepta.tune(cancer, trials=6, folder=tmp_path, **options)
    whole = lepta.tune(cancer, trials=6, **options)
    first, second, third, fourth = (trials_of(one) for one in (short, more, same, whole))
    assert first == second[:3]
    assert second == third
    assert [(t["params"], t["loss"]) for t in fourth] == [(t["params"], t["loss"]) for t in second]
    assert more.read("model.onnx") == same.read("model.onnx") == whole.read("model.onnx")
    assert second[0]["params"] == {"learning_rate": 0.08, "leaves": 24}
    with pytest.raises(ConfigError, match="another seed"):
        lepta.tune(cancer, trials=3, folder=tmp_path, seed=1, **options)


DRIVER = """
import json, sys
import lepta
from sklearn.datasets import load_breast_cancer

if __name__ == "__main__":
    data = lepta.Dataset.read(load_breast_cancer(as_frame=True).frame, target="target")
    bundle = lepta.tune(data, trials=6, workers=1, folder=sys.argv[1], **json.loads(sys.argv[2]))
    bundle.save(sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills a group of processes")
def test_kills_change_nothing(cancer: lepta.Dataset, tmp_path: Path) -> None:
    quiet = trials_of(lepta.tune(cancer, trials=6, workers=1, **NETWORK))
    chosen, kills = random.Random(1), 0
    driver, out, folder = tmp_path / "driver.py", tmp_path / "out.lepta", tmp_path / "study"
    driver.write_text(DRIVER)
    words = [sys.executable, str(driver), str(folder), json.dumps(NETWORK), str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    while True:
        process = subprocess.Popen(words, env=environment)
        if kills == 3:
            assert process.wait(240) == 0
            break
        _wait_for_lines(folder / "journal.log", chosen.randint(12, 36), process)
        time.sleep(chosen.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    found = trials_of(lepta.Bundle.load(out))
    kept = ("number", "state", "loss", "params", "curve")
    assert [[t[key] for key in kept] for t in found] == [[t[key] for key in kept] for t in quiet]


def _wait_for_lines(journal: Path, more: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the journal has grown by so many lines."""

    def lines() -> int:
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    aim, until = lines() + more, time.monotonic() + 60
    while lines() < aim and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_interrupt_gives_the_best_so_far(cancer: lepta.Dataset) -> None:
    ended = []

    def report(event: Event) -> None:
        if isinstance(event, StageAdvanced) and event.stage == "tuning" and event.values:
            ended.append(event)
            if len(ended) == 2:
                raise KeyboardInterrupt

    options = {**NETWORK, "learner": "linear", "space": {"balance": [False, True]}}
    del options["settings"]
    bundle = lepta.tune(cancer, trials=500, workers=1, context=Context(report=report), **options)
    assert len(trials_of(bundle)) < 20


def test_a_time_is_kept(cancer: lepta.Dataset) -> None:
    space, began = {"learning_rate": "0.01..0.3 log"}, time.monotonic()
    bundle = lepta.tune(cancer, time="20s", learner="trees", space=space, audit=False)
    assert time.monotonic() - began < 20 * 1.05 + 2
    assert len(trials_of(bundle)) > 2


def test_what_cannot_be_is_told_at_once(cancer: lepta.Dataset) -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'loop.epochs'"):
        lepta.tune(cancer, learner="mlp", space={"loop.epoch": "1..2"})
    with pytest.raises(ConfigError, match=r"no metric 'acuracy'\. Did you mean 'accuracy'"):
        lepta.tune(cancer, learner="linear", space={"balance": [True]}, metric="acuracy")
    with pytest.raises(ConfigError, match=r"Did you mean 'trials'"):
        lepta.tune(cancer, learner="mlp", trial=3)
    with pytest.raises(ConfigError, match="folder"):
        lepta.tune(cancer, learner="mlp", checkpoint="here")
    with pytest.raises(TrainError, match="no image field"):
        lepta.tune(cancer, learner="cnn", space={"loop.batch": [8]}, workers=1, audit=False)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = load_breast_cancer(as_frame=True).frame
    frame.to_csv(tmp_path / "cancer.csv", index=False)
    out = tmp_path / "cancer.lepta"
    words = [
        "tune", str(tmp_path / "cancer.csv"), "--target", "target", "--learner", "trees",
        "--space", "learning_rate=0.01..0.3 log", "--space", "leaves=7|15", "--trials", "4",
        "--metric", "auroc", "--settings", "rounds=30", "--workers", "2", "--track", "none",
        "--no-audit", "-o", str(out),
    ]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "score (valid)" in said
    assert "learning_rate=" in said
    bundle = lepta.Bundle.load(out)
    trials = trials_of(bundle)
    assert len(trials) == 4
    assert all(trial["score"] == -trial["loss"] for trial in trials)
    assert np.all([0.9 < trial["score"] <= 1 for trial in trials])
    assert (tmp_path / "cancer.tuning.html").exists()
    assert main([*words, "--space", "leafs=1..2"]) == 2
    assert "Did you mean 'leaves'" in capsys.readouterr().err


OWN = """
from sklearn.linear_model import LogisticRegression
from torch import nn

regression = LogisticRegression(max_iter=500)

def network(width, hidden=4):
    return nn.Sequential(nn.LazyLinear(hidden), nn.ReLU(), nn.LazyLinear(width))
"""


def test_ones_own_model(cancer: lepta.Dataset, tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx")
    (tmp_path / "own.py").write_text(OWN)
    options: dict[str, Any] = {"trials": 2, "workers": 1, "audit": False}
    sizes = [8, 16]
    for name, space in (
        ("regression", {"parameters.C": [0.01, 1.0]}),
        ("network", {"arguments.hidden": sizes, "loop.epochs": [2]}),
    ):
        model = f"{tmp_path / 'own.py'}:{name}"
        trials = trials_of(lepta.tune(cancer, model=model, space=space, **options))
        assert [trial["state"] for trial in trials] == ["ended", "ended"]
    with pytest.raises(ConfigError, match="Did you mean 'hidden'"):
        lepta.tune(cancer, model=model, space={"arguments.hiden": sizes}, **options)


@pytest.mark.slow
def test_trials_are_kept_in_the_store(
    cancer: lepta.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = {"space": {"balance": [False, True]}, "audit": False, "workers": 1}
    lepta.tune(cancer, learner="linear", trials=3, track="mlflow", name="cancer", **options)
    runs = lepta.Store().runs("cancer")
    assert sorted(run.name for run in runs) == [
        "cancer",
        "cancer trial 0",
        "cancer trial 1",
        "cancer trial 2",
    ]
    assert all("log_loss" in run.metrics for run in runs)


def test_without_test_rows_it_is_measured_on_rows_that_it_never_saw(
    cancer: lepta.Dataset,
) -> None:
    options: dict[str, Any] = {"space": {"leaves": [7]}, "settings": {"rounds": 20}}
    bundle = lepta.tune(cancer, learner="trees", test=0, trials=1, audit=False, **options)
    again = lepta.tune(
        cancer, learner="trees", test=0, trials=1, audit=False, refit=False, **options
    )
    assert {metric.split for metric in bundle.manifest.metrics} == {"valid"}
    assert bundle.read("model.onnx") == again.read("model.onnx")
