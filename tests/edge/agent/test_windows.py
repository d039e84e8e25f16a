"""Windows of every task, and what the agent needs of the machine."""

import json
import subprocess
import sys

import numpy as np
import pytest

from lepta.edge.agent.config import WindowConfig
from lepta.edge.agent.model import Model
from lepta.edge.agent.window import Window
from lepta.tasks import Anomaly, Binary, Multilabel, Ordinal, Quantile, Regression
from lepta.tasks.detection import Detection
from lepta.tasks.forecasting import Forecasting
from lepta.tasks.ranking import Ranking
from lepta.tasks.recommendation import Recommendation
from lepta.tasks.segmentation import Segmentation

from .conftest import ROW, version

ROWS = 40
RNG = np.random.default_rng(0)
SHARES = RNG.dirichlet([1, 1, 1], ROWS)
TASKS = [
    (Anomaly(target="odd", classes=("no", "yes")), RNG.random((ROWS, 1)), "prediction"),
    (Binary(target="ill", classes=("no", "yes")), SHARES[:, :2], "probability[yes]"),
    (Ordinal(target="grade", classes=("low", "mid", "high")), SHARES, "prediction"),
    (Multilabel(target="tags", classes=("a", "b", "c")), SHARES, "prediction"),
    (Quantile(target="y", quantiles=(0.1, 0.5, 0.9)), RNG.normal(size=(ROWS, 3)), "prediction"),
    (Regression(target="y"), RNG.normal(size=(ROWS, 1)), "prediction"),
    (Ranking(target="grade"), RNG.normal(size=(ROWS, 1)), "prediction"),
    (Recommendation(target="film", items=("x", "y", "z")), SHARES, "prediction"),
    (
        Forecasting(target="load", fields=("load", "wind"), horizon=3),
        RNG.normal(size=(ROWS, 3, 2, 3)),
        "prediction",
    ),
    (Detection(target="boxes", classes=("cat", "dog")), RNG.random((ROWS, 30, 6)), "prediction"),
    (
        Segmentation(target="mask", classes=("none", "sore"), values=(0, 1)),
        RNG.random((ROWS, 2, 60, 60)),
        "mean score",
    ),
]


@pytest.fixture(scope="module")
def bundle():
    return version(1)


@pytest.mark.parametrize(("task", "scores", "name"), TASKS, ids=[t.name for t, _, _ in TASKS])
def test_answers_of_every_task_are_told(bundle, task, scores, name):
    window = Window(bundle.with_manifest(task=task), WindowConfig())
    for piece in np.array_split(scores.astype(np.float32), 3):
        window.add([], piece, 0.01)
    record = json.loads(json.dumps(window.end(), allow_nan=False))
    assert record["rows"] == ROWS
    assert all(told["count"] == ROWS for told in record["answers"].values())
    told = record["answers"][name]
    assert "counts" in told or sum(told["histogram"]["counts"]) == ROWS
    assert window.end() is None


def test_what_cannot_be_told_does_not_keep_from_predicting(bundle, monkeypatch):
    model = Model(bundle, WindowConfig(), threads=1)
    expected = model.scores([ROW], foreign=True)

    def broken(*_):
        raise ValueError("no")

    monkeypatch.setattr(model.window, "add", broken)
    assert np.array_equal(model.scores([ROW], foreign=True), expected)
    assert model.window.end()["errors"] == {"profile": 1}


def test_the_agent_needs_no_more_than_the_runtime():
    modules = "running, status, publishing, trial"
    heavy = "onnx torch pyarrow pandas sklearn scipy PIL rich httptools orjson cryptography yaml"
    code = (
        f"import sys\nfrom lepta.edge.agent import {modules}\n"
        f"print(*[name for name in {heavy.split()} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
