"""A linear model, and trees boosted from its raw scores."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from lepta.core.events import Context
from lepta.data import Dataset
from lepta.models.front.shared import share_rows, shared_part
from lepta.models.hybrid.heldout import held_out_raw, parts_of_rows
from lepta.models.hybrid.residual import Residual
from lepta.models.learner import LEARNERS
from lepta.models.linear import linear_loss
from lepta.models.trees import Trees

from .conftest import TASKS, bent, graph_scores

SMALL = Trees(rounds=12, min_rows=5, learning_rate=0.2)


def loss_of(model, data: Dataset, context: Context) -> float:
    return linear_loss(model.raw_of(data, context), data.targets(data.task), data.task)


@pytest.mark.parametrize("task", TASKS)
def test_a_bag_is_one_model_and_its_graph_says_the_same(task: str) -> None:
    data = bent(1, 160, task)
    parts = [np.flatnonzero(np.arange(160) % 4 != k) for k in range(2)]
    context = share_rows(Context(threads=1), data, parts)
    trains = [shared_part(context, number) for number in range(2)]
    learners = Residual(trees=SMALL), Residual(first="spline", knots=3, trees=SMALL)
    models = [
        learner.fit(t, t, data.task, context) for learner, t in zip(learners, trains, strict=True)
    ]
    whole = models[0].combine(models[1:], (0.3, 0.7))
    arrays = models[0].front.run(data, Context())
    wanted = 0.3 * models[0].raw(arrays) + 0.7 * models[1].raw(arrays)
    np.testing.assert_allclose(whole.raw(arrays), wanted, rtol=1e-5, atol=1e-4)
    kept = pickle.loads(pickle.dumps(whole))  # as it comes back from a worker
    np.testing.assert_allclose(
        graph_scores(kept, data), whole.scores(data, Context()), rtol=1e-5, atol=1e-4
    )
    assert models[0].combine([whole.then], (0.5, 0.5)) is None


def test_it_goes_on_where_trees_stay() -> None:
    rng = np.random.default_rng(0)
    time, jump = np.sort(rng.uniform(0, 10, 500)), rng.integers(0, 4, 500)
    y = 3 * time + np.array([0, 5, 1, 9])[jump] + rng.normal(0, 0.2, 500)
    data = Dataset.read({"time": time, "jump": jump.astype(str), "y": y}, target="y")
    train, valid, later = (
        data.take(np.arange(*ends)) for ends in ((0, 300), (300, 350), (350, 500))
    )
    context = Context(threads=1)
    losses = {}
    for name in ("linear", "trees", "residual"):
        model = LEARNERS.get(name)().fit(train, valid, data.task, context)
        losses[name] = loss_of(model, later, context)
    assert losses["residual"] < 0.1 * losses["trees"]
    assert losses["residual"] <= 1.1 * losses["linear"]


def test_the_same_seed_gives_the_same_model() -> None:
    data = bent(2, 100, "binary")
    raw = [
        Residual(trees=SMALL)
        .fit(data, data, data.task, Context(seed=s, threads=1))
        .raw_of(data, Context())
        for s in (0, 0, 1)
    ]
    np.testing.assert_array_equal(raw[0], raw[1])
    assert (raw[0] != raw[2]).any()


def test_more_rows_keep_the_choices() -> None:
    data = bent(3, 200)
    train, valid = data.take(np.arange(150)), data.take(np.arange(150, 200))
    context = Context(threads=1)
    model = Residual(trees=SMALL).fit(train, valid, data.task, context)
    again = model.refit(data, context)
    assert again.first.strength == model.first.strength
    assert again.then.members[0].rounds == model.then.members[0].rounds
    assert loss_of(again, valid, context) < loss_of(model, valid, context)


def test_no_time_is_enough_for_a_model() -> None:
    data = bent(4, 80)
    context = Context(threads=1, deadline=0.0)
    model = Residual().fit(data, data, data.task, context)
    assert np.isfinite(model.raw_of(data, context)).all()
    assert model.then.members[0].rounds == (1,)


def test_parts_keep_groups_and_stretches_of_time_together() -> None:
    rng = np.random.default_rng(0)
    person = rng.permutation(np.repeat(np.arange(20), 3)).astype(str)
    columns = {"a": rng.normal(size=60), "person": person, "y": rng.normal(size=60)}
    data = Dataset.read(columns, target="y", group="person")
    parts = parts_of_rows(data, seed=0)
    assert sorted(np.concatenate(parts)) == list(range(60))
    assert sum(len({*person[part]}) for part in parts) == 20
    days = rng.permutation(60)
    data = Dataset.read({**columns, "day": days}, target="y", time_field="day")
    spans = [(days[part].min(), days[part].max()) for part in parts_of_rows(data, seed=0)]
    assert spans == [(k * 12, k * 12 + 11) for k in range(5)]


def test_a_row_is_scored_by_a_model_that_did_not_see_it() -> None:
    def score(learned: np.ndarray, held: np.ndarray) -> np.ndarray:
        assert not {*learned} & {*held}
        return np.full((len(held), 1), len(learned), np.float32)

    parts = [np.array([0, 3]), np.array([1]), np.array([2])]
    assert held_out_raw(parts, 4, score)[:, 0].tolist() == [2, 3, 3, 2]


def test_trees_do_not_learn_what_is_left_of_rows_the_first_model_knows() -> None:
    """In high dimensions a linear model fits its rows too well: too little would be left."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 60))
    columns = {f"x{k}": x[:, k] for k in range(60)}
    data = Dataset.read({**columns, "y": x[:, 0] + rng.normal(size=120)}, target="y")
    learner, context = Residual(trees=SMALL), Context(threads=1)
    model = learner.fit(data, data, data.task, context)
    seen = model.front.run(data, context)
    y = data.targets(data.task)
    (table,) = seen.values()
    unseen = learner.unseen(
        replace(model.first, strength=10.0), (table, y, None), data, data.task, context
    )
    assert np.mean((y - unseen[:, 0]) ** 2) > 1.2 * np.mean((y - model.first.raw(table)[:, 0]) ** 2)


def test_one_row_of_a_class_is_enough() -> None:
    rng = np.random.default_rng(0)
    y = np.array(["no"] * 39 + ["yes"])
    data = Dataset.read({"a": rng.normal(size=40), "y": y}, target="y", task="binary")
    model = Residual(trees=SMALL).fit(data, data, data.task, Context(threads=1))
    assert np.isfinite(model.raw_of(data, Context())).all()


def test_two_groups_are_two_parts() -> None:
    columns = {"a": np.arange(12.0), "who": ["x", "y"] * 6, "y": np.arange(12.0)}
    data = Dataset.read(columns, target="y", group="who")
    assert [len(part) for part in parts_of_rows(data, seed=0)] == [6, 6]
