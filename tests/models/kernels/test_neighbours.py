"""Nearest neighbours: many rows equally far, rows told twice, classes that never came."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lepta
from lepta.core.events import Context
from lepta.models.front.front import TABLE
from lepta.models.graph import Graph
from lepta.models.kernels.neighbours import Memory, Neighbours, NeighboursFitted, answer
from lepta.runtime.session import open_session


def data(task: str, rows: int = 60) -> lepta.Dataset:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (rows, 2)).astype(float)
    y = x.sum(axis=1) if task == "regression" else np.where(x.sum(axis=1) > 2, "many", "few")
    return lepta.Dataset.read({"a": x[:, 0], "b": x[:, 1], "y": y}, target="y", task=task)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    task=st.sampled_from(["binary", "regression"]),
    levels=st.integers(2, 4),
    count=st.integers(1, 12),
)
def test_ties_are_answered_alike_in_the_graph(
    seed: int, task: str, levels: int, count: int
) -> None:
    """Of rows equally far, the graph and NumPy may take others: it must not matter."""
    rng = np.random.default_rng(seed)
    given = data(task)
    fitted = Neighbours().fit(given, given, given.task, Context(threads=1))
    table = rng.integers(0, levels, (40, 3)).astype(np.float32) / 3
    y = rng.integers(0, 2, 40) if task == "binary" else rng.normal(50, 9, 40)
    memory = Memory.of(table, y, None, given.task, np.ones(3, np.float32))
    count = min(count, len(memory.points) - 1)
    model = NeighboursFitted(fitted.front, given.task, memory, count, 0.5, 100)
    x = np.vstack([table, rng.normal(size=(9, 3))]).astype(np.float32)
    graph = Graph()
    raw = model.emit(graph, {TABLE: graph.input("x", "float32", (-1, 3))})
    graph.output(raw, "y", "float32", (-1, fitted.raw_of(given, Context()).shape[1]))
    (got,) = open_session(graph.build().SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(got, model.raw({TABLE: x}), atol=2e-3 if task == "binary" else 2e-2)


def test_the_same_row_twice_is_one_with_two_answers() -> None:
    task = data("binary").task
    table = np.array([[0, 0], [0, 0], [0, 0], [1, 1]], np.float32)
    memory = Memory.of(table, np.array([0, 0, 1, 1]), None, task, np.ones(2, np.float32))
    np.testing.assert_allclose(memory.answers, [[2, 1, 3], [0, 1, 1]])
    raw = answer(memory, *memory.nearest(table[:1], 2), 1e-9, task)
    np.testing.assert_allclose(np.exp(raw), [[2 / 3, 1 / 3]], atol=1e-3)


def test_one_row_is_the_answer_to_all() -> None:
    two = data("regression").take(np.arange(2))
    one = two.take(np.zeros(3, np.int64))
    fitted = Neighbours().fit(one, two, two.task, Context(threads=1))
    wanted = np.full((2, 1), float(two.targets(two.task)[0]))
    np.testing.assert_allclose(fitted.raw_of(two, Context()), wanted)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_rows_are_remembered_up_to_a_number(task: str) -> None:
    rows = data(task)
    fitted = Neighbours(rows=5).fit(rows, rows, rows.task, Context(threads=1))
    assert len(fitted.memory.points) <= 5
    again = fitted.refit(rows, Context(threads=1))
    np.testing.assert_array_equal(again.memory.points, fitted.memory.points)
