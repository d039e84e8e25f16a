"""Trees of each library give the same scores in the graph, on every path and for any row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.events import Context
from lepta.data import Dataset
from lepta.models.front.front import TABLE
from lepta.models.graph import Graph
from lepta.models.learner import LEARNERS
from lepta.runtime.session import open_session

SMALL = {
    "xgboost": {"rounds": 15, "min_weight": 0.5},
    "catboost": {"rounds": 15, "few": 4},
    "forest": {"trees": 10, "few": 4},
    "extra-trees": {"trees": 10, "few": 4, "min_rows": 1},
}


def table(rng: np.random.Generator, rows: int, task: str, missing: float, coarse: bool) -> Dataset:
    """Return two numbers, a category of few values and one of many, and a weight."""
    x = rng.normal(size=(rows, 2))
    if coarse:  # many values exactly on a threshold
        x = np.round(x, 1)
    few, many = rng.integers(0, 3, rows), rng.integers(0, 30, rows)
    value = x[:, 0] - x[:, 1] + (few == 1) + np.isin(many, [1, 4, 7, 20, 29])
    x[rng.random(x.shape) < missing] = np.nan
    y = {
        "binary": (value > 0.5).astype(int),
        "multiclass": np.digitize(value, [-0.5, 0.5, 1.5]),
        "regression": 2 + value,
    }[task]
    y[:4] = y[4] if task == "regression" else np.arange(4) % len(np.unique(y))
    columns = {"a": x[:, 0], "b": x[:, 1], "few": few, "many": many, "w": rng.random(rows), "y": y}
    kinds = {"few": "category", "many": "category"}
    return Dataset.read(columns, target="y", task=task, kinds=kinds, roles={"w": "weight"})


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    missing=st.sampled_from([0.0, 0.2]),
    task=st.sampled_from(["binary", "multiclass", "regression"]),
    coarse=st.booleans(),
    balance=st.booleans(),
)
def test_the_graph_is_the_library(
    name: str, seed: int, missing: float, task: str, coarse: bool, balance: bool
) -> None:
    rng = np.random.default_rng(seed)
    train, valid = (table(rng, rows, task, missing, coarse) for rows in (240, 80))
    learner = LEARNERS.get(name)(**SMALL[name], balance=balance and task != "regression")
    context = Context(seed=seed, threads=1)
    fitted = learner.fit(train, valid, train.task, context)
    x = fitted.front.run(train, context)[TABLE]
    odd = x[:60].copy()
    odd[:, :2] = rng.choice([np.nan, 3e38, -3e38, 1e-40, 0.0, -0.0], size=(60, 2))
    odd[:, 2:] = rng.integers(0, x[:, 2:].max(axis=0) + 1, size=(60, 2))  # 0: not known
    near = x[:60].copy()
    near[:, :2] = np.nextafter(near[:, :2], np.float32(np.inf))
    for rows in (x, odd, near):
        graph = Graph()
        matrix = graph.input("x", "float32", (-1, x.shape[1]))
        graph.output(fitted.emit(graph, {TABLE: matrix}), "y", "float32", (-1, -1))
        session = open_session(graph.build().SerializeToString())
        scores = session.run(None, {"x": rows})[0]
        np.testing.assert_allclose(scores, fitted.raw({TABLE: rows}), rtol=1e-5, atol=1e-5)
    again = fitted.refit(train, context)
    assert again.members[0].rounds == fitted.members[0].rounds
