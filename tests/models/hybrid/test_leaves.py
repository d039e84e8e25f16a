"""Leaves of boosted trees as inputs of a linear model."""

import pickle

import numpy as np
import pytest

from lepta.core.events import Context
from lepta.data import Dataset
from lepta.models.front.front import TABLE
from lepta.models.front.shared import share_rows, shared_part
from lepta.models.hybrid.leaves import LeafLinear, _next
from lepta.models.learner import LEARNERS
from lepta.models.linear import linear_loss
from lepta.models.trees import Trees

from .conftest import TASKS, bent, graph_scores

SMALL = Trees(rounds=12, min_rows=5, learning_rate=0.2)


@pytest.mark.parametrize("task", TASKS)
def test_a_bag_is_one_model_and_its_graph_says_the_same(task: str) -> None:
    data = bent(1, 160, task)
    parts = [np.flatnonzero(np.arange(160) % 4 != k) for k in range(2)]
    context = share_rows(Context(threads=1), data, parts)
    models = [
        LeafLinear(trees=SMALL).fit(part, part, data.task, context)
        for part in (shared_part(context, number) for number in range(2))
    ]
    whole = models[0].combine(models[1:], (0.3, 0.7))
    arrays = models[0].front.run(data, Context())
    wanted = 0.3 * models[0].raw(arrays) + 0.7 * models[1].raw(arrays)
    np.testing.assert_allclose(whole.raw(arrays), wanted, rtol=1e-5, atol=1e-4)
    kept = pickle.loads(pickle.dumps(whole))  # as it comes back from a worker
    np.testing.assert_allclose(
        graph_scores(kept, data), whole.scores(data, Context()), rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("task", TASKS)
def test_the_leaves_reached_are_those_of_the_arrays(task: str) -> None:
    data = bent(2, 150, task)
    model = LeafLinear(trees=SMALL).fit(data, data, data.task, Context(threads=1))
    (grown,) = model.then.members
    (booster,) = grown.leaves.boosted.boosters
    reached = grown.leaves.reached(model.front.run(data, Context())[TABLE])
    trees = booster.trees()
    x = model.front.run(data, Context())[TABLE]
    raw = np.zeros((len(data), trees.targets.max() + 1))
    for column in reached.T:
        np.add.at(raw, (np.arange(len(data)), trees.targets[column]), trees.values[column])
    np.testing.assert_allclose(raw, booster.raw(x), atol=1e-9)


def test_a_tree_that_cannot_split_is_a_constant() -> None:
    data = Dataset.read({"a": [0.0, 1.0] * 10, "y": [1.0, 2.0, 3.0, 4.0] * 5}, target="y")
    learner = LeafLinear(trees=Trees(rounds=3, min_rows=15))
    model = learner.fit(data, data, data.task, Context(threads=1))
    np.testing.assert_allclose(
        graph_scores(model, data), model.scores(data, Context()), rtol=1e-5, atol=1e-5
    )


def test_columns_and_leaves_together_beat_either() -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 900))
    y = 4 * c + 6 * ((a > 0) == (b > 0)) + rng.normal(0, 0.3, 900)  # a line and a checkerboard
    data = Dataset.read({"a": a, "b": b, "c": c, "y": y}, target="y")
    train, valid, test = (data.take(np.arange(*e)) for e in ((0, 400), (400, 500), (500, 900)))
    context, losses = Context(threads=1), {}
    few = {"trees": Trees(rounds=100, learning_rate=0.1), "leaf-linear": LeafLinear()}
    for name in ("linear", "trees", "leaf-linear"):
        model = few.get(name, LEARNERS.get(name)()).fit(train, valid, data.task, context)
        raw = model.raw_of(test, context)
        losses[name] = linear_loss(raw, test.targets(data.task), data.task)
    assert losses["leaf-linear"] < 0.8 * min(losses["linear"], losses["trees"])


def test_no_time_is_enough_for_a_model_and_more_rows_keep_its_choices() -> None:
    data = bent(4, 80)
    context = Context(threads=1, deadline=0.0)
    model = LeafLinear(trees=SMALL).fit(data, data, data.task, context)
    assert model.then.members[0].rounds == (1,)
    again = model.refit(data, context)
    assert again.first.strength == model.first.strength
    assert np.isfinite(again.raw_of(data, context)).all()


def test_many_classes_are_refused() -> None:
    y = np.arange(60) % 11
    data = Dataset.read({"a": np.arange(60.0), "y": y.astype(str)}, target="y", task="multiclass")
    assert "10 classes" in LeafLinear().refusal(data.schema, data.task)


def test_strengths_are_tried_while_they_get_better() -> None:
    assert _next({3: (1.0, None)}) == 2
    assert _next({3: (1.0, None), 2: (0.5, None)}) == 1
    assert _next({3: (1.0, None), 2: (2.0, None)}) == 4
    assert _next({3: (1.0, None), 2: (2.0, None), 4: (1.5, None)}) is None
    assert _next({0: (1.0, None), 1: (2.0, None)}) is None
