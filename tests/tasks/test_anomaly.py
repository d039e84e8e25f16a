"""Anomalies: shares of normal rows, alarms as allowed, and the same numbers in the graph."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lepta
from lepta.core.errors import ConfigError, DataError, SchemaError
from lepta.core.events import Context
from lepta.core.schema import Field, Kind
from lepta.evaluation import measure
from lepta.models.graph import Graph
from lepta.tasks import Anomaly, task_for, task_from_json

FIELD = Field(name="state", kind=Kind.CATEGORY, classes=("normal", "anomalous"))


def _task(**options: object) -> Anomaly:
    task = task_for(FIELD, "anomaly", **options)
    assert isinstance(task, Anomaly)
    return task


def _rows(rows: int, seed: int = 0, share: float = 0.1) -> dict[str, np.ndarray]:
    """Two numbers that belong together, a category; anomalies are far away in any direction."""
    rng = np.random.default_rng(seed)
    bad = rng.random(rows) < share
    x = rng.normal(size=(rows, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    x[bad] += 4 * rng.choice([-1, 1], (bad.sum(), 2))
    return {
        "x": x[:, 0],
        "z": x[:, 1],
        "kind": rng.choice(["a", "b"], rows),
        "state": np.where(bad, "anomalous", "normal"),
    }


def _graph_of(task: Anomaly, raw: np.ndarray) -> np.ndarray:
    graph = Graph()
    out, spec = task.emit(graph, graph.input("raw", "float32", (-1, 1))), task.output()
    graph.output(out, spec.name, spec.dtype, spec.shape)
    session = ort.InferenceSession(graph.build().SerializeToString())
    return np.asarray(session.run(None, {"raw": raw})[0])


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40),
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_the_graph_ranks_as_numpy_does(seen: list[float], new: list[float]) -> None:
    values = np.array(seen, np.float32)[:, None]
    task = _task().calibrated(values, np.zeros(len(values), np.int64))
    raw = np.sort(np.array(new, np.float32))[:, None]
    shares = task.finish(raw)
    np.testing.assert_allclose(_graph_of(task, raw), shares, atol=2e-6)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert (np.diff(shares[:, 0]) >= -1e-6).all()
    assert task_from_json(task.model_dump(mode="json")) == task


@pytest.mark.parametrize("allowed", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("rows", [120, 5000])
def test_as_many_alarms_as_allowed(allowed: float, rows: int) -> None:
    rng = np.random.default_rng(rows)
    rates = []
    for _ in range(1 if rows > 1000 else 40):
        raw = rng.lognormal(size=(rows, 1))
        task = _task(false_alarms=allowed).calibrated(raw, np.zeros(rows, np.int64))
        rates.append(task.codes(task.finish(rng.lognormal(size=(20_000, 1)))).mean())
    assert np.mean(rates) == pytest.approx(allowed, abs=0.15 * allowed + 0.004)


def test_anomalous_rows_have_no_say_in_the_threshold() -> None:
    raw, y = np.arange(30.0)[:, None], np.repeat([0, 1], (20, 10))
    assert _task().calibrated(raw, y) == _task().calibrated(raw[:20], y[:20])
    with pytest.raises(DataError, match="No validation row is 'normal'"):
        _task().calibrated(raw[20:], y[20:])


def test_a_weight_counts_as_so_many_rows() -> None:
    raw, counts = np.arange(40.0)[:, None], np.where(np.arange(40) < 20, 3, 1)
    once = _task().calibrated(raw, np.zeros(40), counts.astype(float))
    many = _task().calibrated(np.repeat(raw, counts, axis=0), np.zeros(counts.sum()))
    new = np.linspace(0, 39, 79, dtype=np.float32)[:, None]
    np.testing.assert_allclose(once.finish(new), many.finish(new), atol=0.03)


def test_what_is_stranger_than_all_keeps_an_order() -> None:
    task = _task().calibrated(np.arange(200.0)[:, None], np.zeros(200))
    shares = task.finish(np.array([[250.0], [500.0], [5000.0], [1e6]], np.float32))[:, 0]
    assert (np.diff(shares) > 0).all()
    assert shares[0] > 0.99


def test_metrics_are_those_of_the_threshold() -> None:
    scores = np.array([[0.1], [0.5], [0.96], [0.97], [0.2]])
    found = {m.name: m.value for m in measure(_task(), np.array([0, 0, 0, 1, 1]), scores)}
    assert found["recall"] == 0.5
    assert found["false_alarm_rate"] == pytest.approx(1 / 3)
    assert found["auroc"] == pytest.approx(4 / 6)


def test_what_is_no_anomaly_task_is_refused() -> None:
    three = FIELD.model_copy(update={"classes": ("a", "b", "c")})
    with pytest.raises(SchemaError, match="3 classes"):
        task_for(three, "anomaly")
    with pytest.raises(ConfigError, match="false_alarms"):
        task_for(FIELD, "anomaly", false_alarms=1.5)


def test_a_fit_finds_anomalies_and_keeps_its_promise(tmp_path: Path) -> None:
    bundle = lepta.fit(
        _rows(1500),
        target="state",
        task="anomaly",
        task_options={"false_alarms": 0.1},
        context=Context(cache=tmp_path, threads=1),
    )
    assert bundle.manifest.lineage.config["learner"] == "isolation-forest"
    fresh = _rows(3000, seed=1)
    bad = fresh.pop("state") == "anomalous"
    predicted = lepta.predict(bundle, fresh).columns()
    assert list(predicted) == ["prediction", "score"]
    said = predicted["prediction"] == "anomalous"
    assert said[~bad].mean() == pytest.approx(0.1, abs=0.04)
    assert said[bad].mean() > 0.9
    assert predicted["score"][~bad].mean() == pytest.approx(0.5, abs=0.06)
    report = bundle.read("report.html").decode()
    assert "What a false alarm buys" in report
    assert "False alarms" in bundle.read("card.md").decode()


def _split(columns: dict[str, np.ndarray], train: str) -> dict[str, np.ndarray]:
    """Give the first 60 rows, all of them of one class, to train; the others to valid and test."""
    split = np.where(np.arange(len(columns["x"])) % 2, "valid", "test")
    split[:60] = "train"
    columns["state"][:60] = train
    return columns | {"split": split}


def test_a_training_split_may_be_normal_only(tmp_path: Path) -> None:
    bundle = lepta.fit(
        _split(_rows(200, share=0.3), "normal"),
        target="state",
        task="anomaly",
        audit=False,
        context=Context(cache=tmp_path, threads=1),
    )
    assert bundle.manifest.lineage.rows["train"] == 60


def test_rows_that_are_all_anomalous_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are normal"):
        lepta.fit(
            _split(_rows(200, share=0.3), "anomalous"),
            target="state",
            task="anomaly",
            learner="isolation-forest",
            audit=False,
            context=Context(cache=tmp_path, threads=1),
        )


@pytest.mark.parametrize("rows", [60, 400])
def test_a_score_that_many_normal_rows_have_is_no_alarm(rows: int) -> None:
    """Categories give few different scores; what is stranger than all of them is an alarm."""
    raw = np.repeat([0.3, 0.4, 0.5], [rows // 2, rows // 4, rows // 4])[:, None].astype(np.float32)
    task = _task(false_alarms=0.05).calibrated(raw, np.zeros(len(raw), np.int64))
    new = np.array([[0.2], [0.3], [0.4], [0.5], [0.5 + 1e-6], [0.501], [0.6]], np.float32)
    assert task.codes(task.finish(new)).tolist() == [0, 0, 0, 0, 0, 1, 1]
    np.testing.assert_allclose(task.finish(new)[1:4, 0], [0, 0.5, 0.75], atol=0.03)
    np.testing.assert_allclose(_graph_of(task, new), task.finish(new), atol=1e-5)
