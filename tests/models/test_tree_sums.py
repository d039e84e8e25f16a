"""Trees of several models, side by side in one node, give the weighted sum of their scores."""

import pickle
import time

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.events import Context, StageFinished
from lepta.data import Dataset
from lepta.models.front.front import TABLE
from lepta.models.front.shared import share_rows, shared_part
from lepta.models.graph import Graph
from lepta.models.learner import LEARNERS, Fitted
from lepta.models.trees.ensemble import Ensemble
from lepta.models.trees.fitted import TreesFitted
from lepta.models.trees.total import Lookup, TreeSum
from lepta.runtime.session import open_session

LEVELS = {"binary": [0.0], "multiclass": [-0.5, 0.8], "ordinal": [-0.5, 0.5]}
SMALL = {
    "trees": {"rounds": 12, "min_rows": 5},
    "xgboost": {"rounds": 12, "min_weight": 0.5},
    "catboost": {"rounds": 12, "few": 4},
    "forest": {"trees": 8, "few": 4},
    "extra-trees": {"trees": 8, "few": 4},
}
CASES = [(name, task) for name in SMALL for task in ("binary", "multiclass", "regression")]


def dataset(task: str, count: int = 240) -> Dataset:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=count), rng.choice(["x", "y", "z", "w"], count)
    value = a + (b == "x") + rng.normal(0, 0.3, count)
    a[::9] = np.nan
    y = np.digitize(value, LEVELS[task]) if task in LEVELS else 5000 + 10 * value
    columns = {"a": a, "b": b, "c": rng.integers(0, 3, count), "y": y}
    return Dataset.read(columns, target="y", task=task, kinds={"c": "category"})


def bag(rows: Dataset, names: list[str]) -> tuple[list[Fitted], Context]:
    order = np.random.default_rng(1).permutation(len(rows))
    folds = np.array_split(order, 3)
    parts = [part for fold in folds for part in (np.setdiff1d(order, fold), fold)]
    context = share_rows(Context(threads=1), rows, parts)
    models = [
        LEARNERS.get(name)(**SMALL[name]).fit(
            shared_part(context, 2 * k), shared_part(context, 2 * k + 1), rows.task, context
        )
        for name in names
        for k in range(3)
    ]
    return models, context


def strange(x: np.ndarray) -> np.ndarray:
    """Return prepared rows, and some with values that were never seen."""
    odd = np.array([[np.nan, 0, 0], [3e38, 4, 3], [-3e38, 0, 1], [1e-40, 2, 0]], np.float32)
    near = x[:40].copy()
    near[:, 0] = np.nextafter(near[:, 0], np.float32(np.inf))
    return np.vstack([x, near, odd])


def graph_raw(model: Fitted, x: np.ndarray) -> tuple[np.ndarray, onnx.ModelProto]:
    graph = Graph()
    matrix = graph.input("x", "float32", (-1, x.shape[1]))
    graph.output(model.emit(graph, {TABLE: matrix}), "y", "float32", (-1, -1))
    built = graph.build()
    return open_session(built.SerializeToString()).run(None, {"x": x})[0], built


@pytest.mark.parametrize(("name", "task"), [*CASES, ("trees", "quantile"), ("trees", "ordinal")])
def test_a_bag_is_one_node(name: str, task: str) -> None:
    rows = dataset(task)
    models, context = bag(rows, [name])
    weights = [0.5, 0.3, 0.4]
    whole = models[0].combine(models[1:], weights)
    assert isinstance(whole, TreesFitted)
    x = strange(models[0].front.run(rows, context)[TABLE])
    wanted = sum(w * m.raw({TABLE: x}) for w, m in zip(weights, models, strict=True))
    np.testing.assert_allclose(whole.raw({TABLE: x}), wanted, rtol=1e-6, atol=1e-7)
    scores, built = graph_raw(whole, x)
    np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-5)
    assert [node.op_type for node in built.graph.node].count("TreeEnsemble") == 1
    twice = whole.combine([whole], [0.5, 0.5])
    np.testing.assert_allclose(twice.raw({TABLE: x}), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_models_of_all_libraries_are_one_node(task: str) -> None:
    rows = dataset(task)
    models, context = bag(rows, list(SMALL))
    weights = np.random.default_rng(0).random(len(models)).tolist()
    whole = pickle.loads(pickle.dumps(models[0].combine(models[1:], weights)))
    x = strange(models[0].front.run(rows, context)[TABLE])
    wanted = sum(w * m.raw({TABLE: x}) for w, m in zip(weights, models, strict=True))
    scores, built = graph_raw(whole, x)
    np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-5)
    assert [node.op_type for node in built.graph.node].count("TreeEnsemble") == 1


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_fit_repeats_itself(name: str, task: str) -> None:
    rows = dataset(task, 120)
    first, second = (bag(rows, [name])[0][0] for _ in range(2))
    x = first.front.run(rows, Context())[TABLE]
    np.testing.assert_array_equal(first.raw({TABLE: x}), second.raw({TABLE: x}))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_the_leaves_are_counted_without_reading_them(name: str, task: str) -> None:
    (first, *_), _ = bag(dataset(task), [name])
    assert isinstance(first, TreesFitted)
    (member,) = first.members
    assert member.size == pytest.approx(
        len(member.total().ensemble.values), rel=0.4
    )  # of symmetric trees, the empty leaves
    assert first.size > member.size


@pytest.mark.parametrize("name", SMALL)
def test_a_fit_without_time_gives_a_model(name: str) -> None:
    rows = dataset("multiclass")
    context = Context(threads=1, deadline=time.monotonic() - 1.0)
    fitted = LEARNERS.get(name)().fit(rows, rows, rows.task, context)
    x = fitted.front.run(rows, Context())[TABLE]
    np.testing.assert_allclose(graph_raw(fitted, x)[0], fitted.raw({TABLE: x}), atol=1e-5)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_fit_stops_in_time(name: str, task: str) -> None:
    rows, other = dataset(task, 4000), dataset(task, 400)
    forest = name in ("forest", "extra-trees")
    endless = {"trees": 100_000} if forest else {"rounds": 100_000, "patience": 100_000}
    learner = LEARNERS.get(name)(**endless)
    seconds: list[float] = []

    def report(event: object) -> None:
        if isinstance(event, StageFinished) and event.stage == name:
            seconds.append(event.seconds)

    context = Context(threads=1, deadline=time.monotonic() + 1.0, report=report)
    fitted = learner.fit(rows, other, rows.task, context)
    assert time.monotonic() < context.deadline + 1.0
    assert len(seconds) == 1
    assert np.isfinite(fitted.raw_of(other, Context())).all()


@pytest.mark.parametrize(("name", "task"), CASES)
def test_one_answer_is_given_to_every_row(name: str, task: str) -> None:
    rows = dataset(task)
    same = rows.keep(np.asarray(rows.targets(rows.task)) == rows.targets(rows.task)[0])
    fitted = LEARNERS.get(name)(**SMALL[name]).fit(same, rows, rows.task, Context(threads=1))
    answers = fitted.scores(rows, Context())
    np.testing.assert_allclose(answers, np.broadcast_to(answers[:1], answers.shape))
    x = fitted.front.run(rows, Context())[TABLE]
    np.testing.assert_allclose(graph_raw(fitted, x)[0], fitted.raw({TABLE: x}), rtol=1e-6)


def test_models_of_different_rows_are_not_added_up() -> None:
    rows = dataset("binary")
    first, second = (bag(rows, ["trees"])[0][0] for _ in range(2))
    assert first.combine([second], [0.5, 0.5]) is None


def test_a_bag_is_fitted_again_as_one_model() -> None:
    rows = dataset("regression")
    models, context = bag(rows, ["trees"])
    again = models[0].combine(models[1:], [0.2, 0.5, 0.3]).refit(rows, context)
    assert len(again.members) == 1
    np.testing.assert_allclose(again.weights, [1.0])
    files = again.workshop()
    assert files.keys() == {"workshop/lightgbm.txt", "workshop/recipe.json"}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), depth=st.integers(1, 4))
def test_pruned_trees_give_the_same(seed: int, depth: int) -> None:
    rng = np.random.default_rng(seed)
    inner = 2**depth - 1
    children = [2 * np.arange(inner) + side for side in (1, 2)]
    left, right = (np.where(child < inner, child, ~(child - inner)) for child in children)
    trees = [
        Ensemble.of_thresholds(
            rng.integers(0, 2, inner), rng.random(inner), rng.random(inner) < 0.5, (left, right),
            rng.integers(0, 2, inner + 1), target,
        )
        for target in (0, 1, 1)
    ]  # fmt: skip
    whole = Ensemble.join(trees)
    pruned = whole.pruned()
    assert len(pruned.column) <= len(whole.column)
    x = rng.random((50, 2)).astype(np.float32)
    x[:10, 0] = np.nan
    plain, fewer = (_scores(TreeSum(each, np.zeros(2), 2), x) for each in (whole, pruned))
    np.testing.assert_array_equal(plain, fewer)
    ends = pruned.left[np.setdiff1d(np.arange(len(pruned.left)), pruned.roots)]
    assert (ends < len(pruned.left)).all()


def _some(rng: np.random.Generator, picked: bool) -> TreeSum:
    """Two trees of one node over the table of a number and a code, and a looked-up column."""
    trees = [
        Ensemble.of_thresholds([column], [split], [False], ([~0], [~1]), values, target)
        for column, split, values, target in [
            (0, 0.5, rng.normal(size=2), 1),
            (2, 0.0, [0.0, 1.0] if picked else rng.normal(size=2), 3 if picked else 2),
        ]
    ]
    lookup = Lookup(1, rng.normal(size=4).astype(np.float32))
    vectors = rng.normal(size=(2, 3)) if picked else None
    return TreeSum(Ensemble.join(trees), rng.normal(size=3), 2, vectors, (lookup,))


def _scores(total: TreeSum, x: np.ndarray) -> np.ndarray:
    graph = Graph()
    scores = total.emit(graph, graph.input("x", "float32", (-1, x.shape[1])))
    graph.output(scores, "y", "float32", (-1, total.targets))
    return open_session(graph.build().SerializeToString()).run(None, {"x": x})[0] + total.bias


@pytest.mark.parametrize("picked", [(False, False), (True, True), (True, False)])
def test_leaves_of_several_scores_and_lookups_add_up(picked: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(3)
    x = np.stack([rng.random(20), rng.integers(0, 4, 20)], axis=1).astype(np.float32)
    first, second = (_some(rng, each) for each in picked)
    both = TreeSum.add([first.scaled(0.25), second.scaled(2.0)])
    wanted = 0.25 * _scores(first, x) + 2.0 * _scores(second, x)
    np.testing.assert_allclose(_scores(both, x), wanted, atol=1e-6)
