"""The second level of a stack."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.events import Context
from lepta.models.hybrid.additive import Spline
from lepta.models.hybrid.heldout import parts_of_rows
from lepta.models.hybrid.stacked import _fit, _slope, fit_second
from lepta.models.learner import LEARNERS
from lepta.models.linear import linear_loss
from lepta.models.trees import Trees

from .conftest import TASKS, bent, graph_scores


@pytest.mark.parametrize("task", TASKS)
def test_the_graph_of_a_stack_gives_its_sum(task: str) -> None:
    data = bent(0, 160, task)
    context = Context(threads=1)
    learners = LEARNERS.get("linear")(), Spline(), Trees(rounds=10)
    models = [learner.fit(data, data, data.task, context) for learner in learners]
    raws = [model.raw_of(data, context) for model in models]
    y, parts = data.targets(data.task), parts_of_rows(data, seed=0)
    second = fit_second(raws, y, data.task, parts)
    assert (second.weights >= 0).all()
    whole = pickle.loads(pickle.dumps(second.model(models)))
    raw = whole.raw_of(data, context)
    np.testing.assert_allclose(raw, second.sum(raws), rtol=1e-5, atol=1e-4)
    wanted = data.task.finish(raw)
    np.testing.assert_allclose(graph_scores(whole, data), wanted, rtol=1e-5, atol=1e-4)
    assert "workshop/recipe.json" in whole.workshop()


@pytest.mark.parametrize("task", TASKS)
def test_what_is_noise_counts_little_and_what_is_sure_is_calibrated(task: str) -> None:
    data = bent(1, 300, task)
    rng = np.random.default_rng(0)
    y, width = data.targets(data.task), data.task.raw_width
    truth = np.eye(width)[y] if data.task.is_classification else y[:, None]
    scale = 1.0 if data.task.is_classification else float(np.std(y))
    good = [truth + scale * rng.normal(0, 1, truth.shape) for _ in range(3)]
    noise = scale * rng.normal(0, 1, truth.shape)
    parts = parts_of_rows(data, seed=0)
    second = fit_second([*good, noise], y, data.task, parts)
    assert second.weights[3] < 0.3 * second.weights[:3].min()
    assert second.loss < min(linear_loss(raw, y, data.task) for raw in good)
    again = fit_second([*good, noise], y, data.task, parts, rows=np.full(len(y), 3.0))
    np.testing.assert_allclose(again.weights, second.weights, atol=1e-4)


def test_it_is_measured_on_rows_it_did_not_learn_from() -> None:
    """Of models that know nothing a second level must not seem to know something."""
    data = bent(2, 80, "binary")
    rng = np.random.default_rng(0)
    y = data.targets(data.task)
    y = rng.permutation(y)
    raws = [rng.normal(0, 1, (80, 2)) for _ in range(30)]
    second = fit_second(raws, y, data.task, parts_of_rows(data, seed=0))
    share = y.mean()
    least = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert linear_loss(second.sum(raws), y, data.task) < least  # it fits the rows it has seen
    assert second.loss > 0.98 * least


@pytest.mark.parametrize("task", ["quantile", "ordinal", "multilabel"])
def test_any_task_with_a_vector_a_row(task: str) -> None:
    import lepta

    rng = np.random.default_rng(0)
    x = rng.normal(size=120)
    targets = {
        "quantile": x * 3 + 100,
        "ordinal": np.digitize(x, [-0.5, 0.5]) + 1,
        "multilabel": [[w for w, cut in (("p", -0.3), ("q", 0.6)) if v > cut] for v in x],
    }
    data = lepta.Dataset.read({"x": x, "y": targets[task]}, target="y", task=task)
    y, width = data.targets(data.task), data.task.raw_width
    model = LEARNERS.get("linear")().fit(data, data, data.task, Context(threads=1))
    raws = [
        model.raw_of(data, Context()),
        rng.normal(size=(120, width)) + 100 * (task == "quantile"),
    ]
    second = fit_second(raws, y, data.task, parts_of_rows(data, seed=0))
    assert second.weights[0] > second.weights[1]
    assert second.loss < linear_loss(raws[1], y, data.task)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), kind=st.sampled_from(TASKS), weighted=st.booleans())
def test_the_derivative_is_that_of_the_loss(seed: int, kind: str, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    task = bent(0, 60, kind).task
    y = rng.integers(0, task.width, 9) if task.is_classification else rng.normal(size=9)
    rows = rng.random(9) if weighted else None
    raw = rng.normal(size=(9, task.raw_width))
    slope = _slope(task, y, rows)
    _, derivative = slope(raw)
    step = rng.normal(size=raw.shape) * 1e-5
    (above, _), (below, _) = slope(raw + step), slope(raw - step)
    assert (above - below) / 2 == pytest.approx((derivative * step).sum(), rel=1e-4, abs=1e-12)


def test_a_stronger_pull_makes_weights_more_equal() -> None:
    data = bent(3, 200)
    rng = np.random.default_rng(0)
    y = data.targets(data.task)
    raws = np.stack([y[:, None] + rng.normal(0, 10 * k, (200, 1)) for k in (1, 2, 4)])
    spreads = [np.ptp(_fit(raws, y, data.task, None, pull)[0]) for pull in (0.001, 0.1, 10.0)]
    assert all(one > other for one, other in pairwise(spreads))
