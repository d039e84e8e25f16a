import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepta.core.errors import ConfigError
from lepta.evaluation.thresholds import best_threshold, threshold_for_costs
from lepta.tasks import Binary

TASK = Binary(target="y", classes=("n", "p"))


def _cost(y, p, threshold, miss_cost):
    answered = p >= threshold
    return miss_cost * np.sum(~answered & (y == 1)) + np.sum(answered & (y == 0))


@pytest.mark.parametrize("miss_cost", [0.2, 1, 10])
def test_the_threshold_for_costs_costs_least_where_probabilities_hold(miss_cost):
    rng = np.random.default_rng(0)
    p = rng.uniform(size=20_000)
    y = (rng.uniform(size=20_000) < p).astype(int)
    costs = {t: _cost(y, p, t, miss_cost) for t in np.linspace(0.02, 0.98, 49)}
    least = min(costs.values())
    assert _cost(y, p, threshold_for_costs(miss_cost), miss_cost) <= 1.02 * least


def test_a_cost_is_above_zero():
    with pytest.raises(ConfigError, match="above 0"):
        threshold_for_costs(0)


@given(st.integers(0, 1000), st.integers(2, 80))
def test_no_other_threshold_is_better(seed, rows):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    p = rng.uniform(size=rows).round(2)
    scores = np.stack([1 - p, p], axis=1)
    rule = TASK.metric("f1")
    found = rule(y, scores, threshold=best_threshold(TASK, "f1", y, scores)) or 0.0
    for threshold in np.linspace(0.005, 0.995, 100):  # all that divide the values of p inside
        if p.min() < threshold < p.max():
            assert found >= (rule(y, scores, threshold=threshold) or 0.0) - 1e-9


def test_one_probability_leaves_the_threshold():
    scores = np.full((4, 2), 0.5)
    assert best_threshold(TASK, "accuracy", np.array([0, 1, 0, 1]), scores) == 0.5
