"""Learners of anomalies give the same numbers by their library and in the graph."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest

from lepta.models.front.front import TABLE, Front
from lepta.models.graph import Graph
from lepta.models.outliers.forest import ForestFitted, read_forest
from lepta.runtime.session import open_session
from lepta.tasks import Anomaly

TASK = Anomaly(target="state", classes=("normal", "anomalous"))


def _both(x: np.ndarray, rows: np.ndarray, trees: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Return raw scores of ``rows`` by scikit-learn and by the graph."""
    forest = IsolationForest(n_estimators=trees, max_samples=min(64, len(x)), random_state=0).fit(x)
    fitted = ForestFitted(Front(None, ()), TASK, forest, read_forest(forest))
    graph = Graph()
    out = fitted.emit(graph, {TABLE: graph.input("x", "float32", (-1, x.shape[1]))})
    graph.output(out, "y", "float32", (-1, 1))
    (got,) = open_session(graph.build().SerializeToString()).run(None, {"x": rows})
    return fitted.raw({TABLE: rows}), got


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.sampled_from([3, 40, 400]), coarse=st.booleans())
def test_a_forest_is_the_same_in_the_graph(seed: int, rows: int, coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    if coarse:  # many rows that are alike, and leaves that hold several
        x = np.round(x).astype(np.float32)
    for new in (x, (3 * rng.normal(size=(100, 3))).astype(np.float32)):
        wanted, got = _both(x, new)
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_rows_that_are_all_alike_make_stumps() -> None:
    wanted, got = _both(np.zeros((20, 2), np.float32), np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert wanted == pytest.approx(0.5)
