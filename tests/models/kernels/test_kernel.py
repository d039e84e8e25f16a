"""Kernel models: what they learn that lines cannot, and what the graph answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lepta
from lepta.core.events import Context
from lepta.models.graph import Graph
from lepta.models.kernels.landmarks import Landmarks, Likeness, median_distance
from lepta.models.kernels.learner import Kernel
from lepta.models.kernels.relevance import _Evidence, relevances
from lepta.models.linear import Linear, linear_loss
from lepta.models.paths import few_threads
from lepta.runtime.session import open_session


def ring(rows: int = 300, noise: int = 0, seed: int = 0) -> lepta.Dataset:
    """Two classes, one around the other, beside columns that say nothing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2 + noise))
    inside = np.hypot(x[:, 0], x[:, 1]) < 1.1
    columns = {f"x{k}": x[:, k] for k in range(2 + noise)}
    return lepta.Dataset.read({**columns, "y": np.where(inside, "in", "out")}, target="y")


def loss(learner: lepta.models.learner.Learner, data: lepta.Dataset) -> float:
    parts = [data.take(rows) for rows in np.split(np.arange(len(data)), [150, 200])]
    fitted = learner.fit(parts[0], parts[1], data.task, Context(threads=1))
    raw = fitted.raw_of(parts[2], Context())
    return linear_loss(raw, parts[2].targets(data.task), data.task)


@pytest.mark.parametrize("kernel", ["gauss", "exponential"])
def test_a_ring_is_learned(kernel: str) -> None:
    assert loss(Kernel(kernel=kernel), ring()) < 0.5 * loss(Linear(), ring())


def test_pieces_tell_values_apart_that_lie_near_to_each_other() -> None:
    """Most values are within a thousandth of the range."""
    rng = np.random.default_rng(0)
    x = np.exp(2.5 * rng.normal(size=300))
    data = lepta.Dataset.read(
        {"x": x, "y": np.where(np.abs(np.log(x)) < 1, "in", "out")}, target="y"
    )
    assert loss(Kernel(pieces=16), data) < 0.6 * loss(Kernel(), data)


def test_columns_that_say_nothing_count_little() -> None:
    data = ring(noise=8)
    x = np.stack([data.numpy(f"x{k}") for k in range(10)], axis=1).astype(np.float32)
    with few_threads(Context()):
        scale = relevances(x, data.targets(data.task), data.task, Context())
    assert scale[:2].min() > 1.5 * scale[2:].max()
    learned = loss(Kernel(kernel="gauss", relevance=True), data)
    assert learned < 0.8 * loss(Kernel(kernel="gauss"), data)


def test_the_slope_of_the_evidence_is_its_slope() -> None:
    rng = np.random.default_rng(0)
    evidence = _Evidence(rng.normal(size=(40, 3)), rng.normal(size=(40, 2)))
    place = rng.normal(scale=0.3, size=6)
    _, slope = evidence(place)
    for column, step in enumerate(1e-5 * np.eye(6)):
        wanted = (evidence(place + step)[0] - evidence(place - step)[0]) / 2e-5
        assert slope[column] == pytest.approx(wanted, rel=1e-4, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.sampled_from(["gauss", "exponential"]),
    groups=st.integers(1, 3),
    far=st.sampled_from([1.0, 10.0]),
)
def test_likeness_in_the_graph_is_that_of_distances(
    seed: int, shape: str, groups: int, far: float
) -> None:
    rng = np.random.default_rng(seed)
    sets = tuple(
        Landmarks(
            rng.normal(size=(rng.integers(1, 9), 4)).astype(np.float32),
            rng.uniform(0.1, 1, 4).astype(np.float32),
        )
        for _ in range(groups)
    )
    x = np.vstack([far * rng.normal(size=(20, 4)), sets[0].points[:1]]).astype(np.float32)
    likeness = Likeness(shape, sets)  # type: ignore[arg-type]
    squares = [
        (((x[:, None] - group.points) * group.scale).astype(np.float64) ** 2).sum(axis=2)
        for group in sets
    ]
    apart = np.hstack(squares)
    wanted = np.exp(-apart / 2) if shape == "gauss" else np.exp(-np.sqrt(apart + 0.01))
    np.testing.assert_allclose(likeness.of(x), wanted, atol=1e-4)
    graph = Graph()
    table = graph.input("x", "float32", (-1, 4))
    graph.output(likeness.emit(graph, table), "y", "float32", (-1, wanted.shape[1]))
    (got,) = open_session(graph.build().SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(got, likeness.of(x), atol=1e-5)


def test_rows_that_are_all_alike_have_a_distance() -> None:
    assert median_distance(np.ones((5, 2), np.float32)) == 1.0
    assert median_distance(np.ones((1, 2), np.float32)) == 1.0
    columns = {"x": [2.5, 7.5] * 60, "y": [0.0, 2.0, 1.0, 4.0] * 30}
    data = lepta.Dataset.read(columns, target="y", task="regression")
    alike = data.take(np.arange(0, 120, 2))
    fitted = Kernel(relevance=True).fit(alike, alike, data.task, Context(threads=1))
    np.testing.assert_allclose(fitted.raw_of(alike, Context()), 0.5, atol=1e-3)
