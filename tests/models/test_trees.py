"""LightGBM's trees and their ONNX form give the same scores, on every path."""

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.models.graph import Graph
from lepta.models.trees.ensemble import below32, floor32
from lepta.models.trees.reading import read_lightgbm
from lepta.runtime.session import open_session


def _scores(booster: lgb.Booster, x: np.ndarray) -> np.ndarray:
    graph = Graph()
    matrix = graph.input("x", "float32", (-1, x.shape[1]))
    ensemble = read_lightgbm(booster.model_to_string())
    width = int(ensemble.targets.max()) + 1
    graph.output(ensemble.emit(graph, matrix, width), "y", "float32", (-1, width))
    return open_session(graph.build().SerializeToString()).run(None, {"x": x})[0]


def _train(
    x: np.ndarray, y: np.ndarray, categorical: list[int], **parameters: object
) -> lgb.Booster:
    data = lgb.Dataset(x, y, categorical_feature=categorical)
    fixed = {"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5, "seed": 0}
    return lgb.train(fixed | parameters, data, num_boost_round=20)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    missing=st.sampled_from([0.0, 0.2]),
    objective=st.sampled_from(["binary", "regression", "multiclass"]),
    coarse=st.booleans(),
)
def test_same_scores_as_lightgbm(seed: int, missing: float, objective: str, coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    if coarse:  # many values exactly on a threshold
        x = np.round(x, 1).astype(np.float32)
    x[:, 3] = rng.integers(0, 12, 300)
    x[:, :2][rng.random((300, 2)) < missing] = np.nan
    signal = np.nan_to_num(x[:, 0]) + np.isin(x[:, 3], [1, 4, 7]) - np.nan_to_num(x[:, 1])
    y = signal if objective == "regression" else (signal > 0).astype(int)
    extra = {}
    if objective == "multiclass":
        y, extra = np.digitize(signal, [-0.5, 0.5, 1.5]), {"num_class": 4}
    booster = _train(x, y, [3], objective=objective, **extra)
    unseen = rng.normal(size=(200, 4)).astype(np.float32)
    unseen[:, 3] = rng.integers(0, 20, 200)
    unseen[:, :3][rng.random((200, 3)) < 0.2] = np.nan
    for rows in (x, unseen):
        wanted = booster.predict(rows, raw_score=True).reshape(len(rows), -1)
        np.testing.assert_allclose(_scores(booster, rows), wanted, atol=2e-6, rtol=1e-5)


def test_a_stump_is_a_constant() -> None:
    x = np.zeros((50, 2), np.float32)
    booster = _train(x, np.arange(50) % 2, [], objective="binary")
    wanted = booster.predict(x, raw_score=True)
    np.testing.assert_allclose(_scores(booster, x)[:, 0], wanted, atol=1e-7)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e37, max_value=1e37))
def test_floor32_is_the_next_float32_below(value: float) -> None:
    low = float(floor32(value))
    assert low <= value
    assert np.float32(low) == low
    assert float(np.nextafter(np.float32(low), np.float32(np.inf))) > value


@pytest.mark.parametrize("value", [0.1, 1e-40, -0.3, 16777217.0])
def test_comparisons_do_not_change(value: float) -> None:
    near = np.float32(value)
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    for x in around:
        assert (float(x) <= value) == (float(x) <= float(floor32(value)))
        assert (x < near) == (x <= below32(near))
