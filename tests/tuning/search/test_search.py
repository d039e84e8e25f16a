import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lepta
from lepta.core.errors import BundleError
from lepta.core.events import Context, Message
from lepta.data import Dataset


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 600))
    c = rng.choice(["x", "y", "z"], 600)
    value = a * b + (c == "x") + rng.normal(0, 0.4, 600)
    return Dataset.read({"a": a, "b": b, "c": c, "y": np.where(value > 0, "p", "n")}, target="y")


@pytest.fixture(scope="module")
def found(data):
    heard = []
    began = time.monotonic()
    model = lepta.fit(data, time="20s", context=Context(report=heard.append))
    return model, time.monotonic() - began, heard


def test_the_leaderboard_tells_what_was_tried(found):
    board = json.loads(found[0].read("leaderboard.json"))
    assert board[0]["weight"] == 1.0
    assert board[0]["bytes"] > 0
    assert board[0]["milliseconds"] > 0
    tried = [row for row in board[1:] if "failure" not in row]
    assert {row["learner"] for row in tried} & {"linear", "trees"}  # what there was time for
    assert tried[0]["low"] <= tried[0]["score"] <= tried[0]["high"]
    assert sum(row["weight"] for row in tried) == pytest.approx(1, abs=1e-3)


def test_the_model_is_as_good_as_the_best_candidate(found):
    board = json.loads(found[0].read("leaderboard.json"))
    tried = [row for row in board[1:] if "failure" not in row]
    losses = [row["loss"] for row in tried if row["rows"] == tried[0]["rows"]]
    assert board[0]["loss"] <= min(losses) + 1e-6
    assert not [e for e in found[2] if isinstance(e, Message) and "left out" in e.text]


def test_the_budget_is_kept(found):
    assert found[1] < 45  # the bar of 5 % is the benchmark's: here others may have the cores


CHOICE = {
    "level": 8,
    "temperature": 0.9,
    "parts": [
        {
            "learner": learner,
            "settings": settings,
            "folds": list(range(8)),
            "weight": weight,
            "temperature": 1.1,
        }
        for learner, settings, weight in (
            ("linear", {}, 0.25),
            ("trees", {"rounds": 20}, 0.5),
            ("xgboost", {"rounds": 10}, 0.25),
        )
    ],
}
"""An outcome that no time limit had a part in."""


def _chosen(bundle, **options):
    lineage = bundle.manifest.lineage
    config = lineage.config | {
        "fit": lineage.config["fit"] | options,
        "choices": {"search": json.dumps(CHOICE)},
    }
    return bundle.with_manifest(lineage=lineage.model_copy(update={"config": config}))


@pytest.fixture(scope="module")
def repeated(found, data):
    return lepta.fit(data, from_bundle=_chosen(found[0]))


def test_the_bundle_repeats_the_search_bit_for_bit(repeated, data):
    choice = json.loads(repeated.manifest.lineage.config["choices"]["search"])
    assert [part["learner"] for part in choice["parts"]] == ["linear", "trees", "xgboost"]
    again = lepta.fit(data, from_bundle=repeated)
    assert again.read("model.onnx") == repeated.read("model.onnx")
    assert again.manifest.metrics == repeated.manifest.metrics


def test_what_was_chosen_is_fitted_on_all_rows(found, repeated, data):
    whole = lepta.fit(data, from_bundle=_chosen(found[0], refit_full=True))
    assert "on all 600 rows" in whole.manifest.notes[-1]
    assert whole.manifest.metrics == repeated.manifest.metrics
    assert whole.read("model.onnx") != repeated.read("model.onnx")
    answers = lepta.predict(whole, data.inputs())
    assert np.isfinite(answers.scores).all()


def test_an_outcome_that_cannot_be_is_refused(found, data):
    bundle = _chosen(found[0])
    config = dict(bundle.manifest.lineage.config)
    config["choices"] = {"search": '{"parts": []}'}
    lineage = bundle.manifest.lineage.model_copy(update={"config": config})
    with pytest.raises(BundleError, match="cannot be repeated"):
        lepta.fit(data, from_bundle=bundle.with_manifest(lineage=lineage))


def test_with_no_test_rows_it_is_measured_out_of_fold(data):
    model = lepta.fit(data, time="12s", test=0, metric="f1")
    assert model.task.threshold != 0.5
    (metric,) = [m for m in model.manifest.metrics if m.name == "auroc"]
    assert metric.split == "out-of-fold"
    assert metric.n in range(75, 601, 75)  # as many folds as there was time for
    assert 0.55 < metric.value < 1


_INTERRUPTED = """
import sys
import lepta
from lepta.core.errors import BundleError
from lepta.core.events import Context, StageAdvanced

def report(event):
    if isinstance(event, StageAdvanced) and event.values.get("tried", 0) >= 1:
        print("tried", flush=True)

if __name__ == "__main__":
    model = lepta.fit(sys.argv[1], target="y", time="10m", context=Context(report=report))
    model.save(sys.argv[2])
"""


def test_an_interrupt_gives_the_best_so_far(data, tmp_path):
    table, script, out = tmp_path / "data.csv", tmp_path / "run.py", tmp_path / "model.lepta"
    data.table.to_pandas().to_csv(table, index=False)
    script.write_text(_INTERRUPTED)
    environment = os.environ | {"PYTHONPATH": str(Path(lepta.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, script, table, out],
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == b"tried\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        process.stdout.read()
        assert process.wait(120) == 0
    assert len(lepta.predict(out, {"a": [1.0], "b": [1.0], "c": ["x"]})) == 1


_PLAIN = """
import sys
import lepta

print("once", flush=True)
model = lepta.fit(sys.argv[1], target="y", time="10s")
model.save(sys.argv[2])
"""


def test_a_script_that_is_not_written_to_be_run_twice_is_not(data, tmp_path):
    table, script, out = tmp_path / "data.csv", tmp_path / "run.py", tmp_path / "model.lepta"
    data.table.to_pandas().to_csv(table, index=False)
    script.write_text(_PLAIN)
    environment = os.environ | {"PYTHONPATH": str(Path(lepta.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, script, table, out], capture_output=True, env=environment, check=True
    )
    assert done.stdout == b"once\n"
    assert out.exists()
