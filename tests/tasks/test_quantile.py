"""Quantiles: order, honest coverage, and the same numbers in the graph."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lepta
from lepta.core.errors import ConfigError
from lepta.core.events import Context
from lepta.core.schema import Field, Kind
from lepta.evaluation import measure
from lepta.models.graph import Graph
from lepta.tasks import Quantile, task_for, task_from_json
from lepta.tasks.objective import objective_of

TASK = Quantile(target="y", quantiles=(0.1, 0.5, 0.9), margins=(-0.5, 0.0, 0.25))


def _noisy(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A number whose spread depends on its input."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return {"x": x, "y": 3 * x + rng.normal(size=rows) * (0.5 + np.abs(x))}


def test_it_survives_json() -> None:
    assert task_from_json(TASK.model_dump(mode="json")) == TASK


@pytest.mark.parametrize("levels", ["0.9,0.1", "0,0.5", "0.5,0.5", "many"])
def test_levels_that_are_none_are_refused(levels: str) -> None:
    with pytest.raises(ConfigError, match="quantiles"):
        task_for(Field(name="y", kind=Kind.NUMBER), "quantile", quantiles=levels)


@given(st.lists(st.tuples(*[st.floats(-1e3, 1e3, width=32)] * 3), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_the_graph_orders_and_moves_as_numpy_does(rows: list[tuple[float, ...]]) -> None:
    raw = np.array(rows, np.float32)
    graph = Graph()
    out = TASK.emit(graph, graph.input("raw", "float32", (-1, 3)))
    spec = TASK.output()
    graph.output(out, spec.name, spec.dtype, spec.shape)
    (got,) = ort.InferenceSession(graph.build().SerializeToString()).run(None, {"raw": raw})
    np.testing.assert_array_equal(got, TASK.finish(raw))
    assert (np.diff(got, axis=1) >= 0).all()


def test_margins_make_the_coverage_that_was_promised() -> None:
    rng = np.random.default_rng(0)
    y, raw = rng.normal(size=4000), np.tile([[-0.3, 0.0, 0.3]], (4000, 1))
    task = Quantile(target="y").calibrated(raw[:2000], y[:2000])
    low, middle, high = task.finish(raw[2000:]).T
    inside = (low <= y[2000:]) & (y[2000:] <= high)
    assert inside.mean() == pytest.approx(0.8, abs=0.03)
    assert (middle == 0).all()
    assert -low[0] == pytest.approx(1.28, abs=0.12)


def test_metrics_are_what_they_are_called() -> None:
    y = np.array([0.0, 1.0, 2.0, 3.0])
    scores = np.array([[-1.0, 0.5, 1.0]] * 4)
    found = {m.name: m.value for m in measure(Quantile(target="y"), y, scores)}
    assert found["interval_coverage"] == 0.5
    assert found["interval_width"] == 2.0
    assert found["median_mae"] == pytest.approx(np.abs(y - 0.5).mean())
    off = y[:, None] - scores
    at = np.array([0.1, 0.5, 0.9])
    assert found["pinball"] == pytest.approx(np.maximum(at * off, (at - 1) * off).mean())
    assert found["quantile_gap"] == pytest.approx(np.mean([0.1, 0.25, 0.4]))


def test_a_task_tells_its_levels_to_its_metrics() -> None:
    y, scores = np.array([1.0, 2.0]), np.array([[0.0, 3.0], [0.0, 3.0]])
    found = {
        m.name: m.value for m in measure(Quantile(target="y", quantiles=(0.2, 0.5)), y, scores)
    }
    assert found["median_mae"] == 1.5
    assert found["quantile_gap"] == pytest.approx((0.2 + 0.5) / 2)


def test_the_loss_is_least_at_the_quantile() -> None:
    task = Quantile(target="y", quantiles=(0.8,))
    y = np.random.default_rng(0).normal(size=5000)
    objective = objective_of(task)
    objective.fit(y)
    assert float(objective.center[0]) == pytest.approx(np.quantile(y, 0.8), abs=1e-6)
    grid = np.linspace(0, 2, 81)
    at = [
        float(objective.losses(torch.full((5000, 1), float(v)), torch.from_numpy(y)).mean())
        for v in grid
    ]
    assert grid[int(np.argmin(at))] == pytest.approx(np.quantile(y, 0.8), abs=0.05)


@pytest.mark.parametrize("learner", ["linear", "trees"])
def test_a_fit_keeps_its_promise(learner: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    context = Context(cache=tmp_path_factory.mktemp("cache"), threads=1)
    columns = _noisy(1200)
    bundle = lepta.fit(
        columns,
        target="y",
        task="quantile",
        task_options={"quantiles": "0.1,0.5,0.9"},
        learner=learner,
        context=context,
        settings={"rounds": 150} if learner == "trees" else {},
    )
    assert bundle.task.margins[1] == 0.0
    fresh = _noisy(2000, seed=1)
    predicted = lepta.predict(bundle, {"x": fresh["x"]}).columns()
    assert list(predicted) == ["prediction", "quantile[0.1]", "quantile[0.5]", "quantile[0.9]"]
    low, high = predicted["quantile[0.1]"], predicted["quantile[0.9]"]
    assert ((low <= fresh["y"]) & (fresh["y"] <= high)).mean() == pytest.approx(0.8, abs=0.06)
    assert "Intervals and truths" in bundle.read("report.html").decode()


def test_margins_heed_weights() -> None:
    """A row of weight two is two rows, and rows that weigh nothing promise nothing."""
    rng = np.random.default_rng(0)
    y, raw = rng.normal(size=40), np.zeros((40, 3), np.float32)
    mass = rng.integers(0, 4, 40)
    again = np.repeat(y, mass), np.repeat(raw, mass, axis=0)
    wanted = TASK.calibrated(again[1], again[0]).margins
    known = mass / mass.mean()
    heavy = TASK.calibrated(raw, y, known).margins
    assert heavy[1] == wanted[1] == 0
    near = np.sort(again[0])  # one row more of mean weight is a little more than one row
    for one, other in zip(heavy, wanted, strict=True):
        if other:
            assert abs(np.searchsorted(near, one) - np.searchsorted(near, other)) <= 3
    assert TASK.calibrated(raw, y, np.ones(40)).margins == TASK.calibrated(raw, y).margins
    wild = np.r_[y, np.full(40, 1e6)], np.zeros((80, 3), np.float32)
    light = np.r_[np.ones(40), np.zeros(40)]
    assert abs(TASK.calibrated(wild[1], wild[0], light).margins[2]) < 5
