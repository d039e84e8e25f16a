"""The guard's bound: exact where it can be, honest where rows are few."""

import numpy as np
import pytest

from lepta.compression.guard import Guard
from lepta.core.errors import CompressError
from lepta.tasks import Binary, Multiclass, Regression

THREE = Multiclass(target="y", classes=("a", "b", "c"))
TWO = Binary(target="y", classes=("no", "yes"))


def sure(codes: np.ndarray) -> np.ndarray:
    return np.eye(3)[codes] * 0.9 + 0.1 / 3


@pytest.mark.parametrize("rows", [100, 300, 1000])
def test_rows_without_a_difference_prove_clopper_and_pearsons_bound(rows):
    y = np.random.default_rng(0).integers(0, 3, rows)
    guard = Guard(THREE, "accuracy", y, sure(y))
    verdict = guard.verdict(sure(y))
    assert verdict.drop == 0.0
    assert verdict.bound == pytest.approx(1 - 0.05 ** (1 / rows), rel=0.08)
    assert verdict.accepted == (rows >= 300)
    assert guard.least_rows == 299


def test_the_true_drop_is_seldom_above_the_bound():
    """Of 200 samples of one true drop, at most one in twenty may show a bound below it."""
    rng = np.random.default_rng(1)
    below = 0
    for seed in range(200):
        y = rng.integers(0, 3, 250)
        before = np.where(rng.random(250) < 0.9, y, (y + 1) % 3)
        lost, won = rng.random(250) < 0.03, rng.random(250) < 0.05
        after = np.where(lost & (before == y), (y + 1) % 3, np.where(won, y, before))
        guard = Guard(THREE, "accuracy", y, sure(before), seed=seed)
        below += guard.verdict(sure(after)).bound < 0.9 * 0.03 * 0.95 - 0.1 * 0.05
    assert below <= 16  # the 0.99 quantile of 200 trials of 0.05


def test_comparing_row_by_row_proves_what_two_intervals_cannot():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 3, 2000)
    before = np.where(rng.random(2000) < 0.7, y, (y + 1) % 3)
    after = before.copy()
    after[:6] = (y[:6] + 1) % 3
    verdict = Guard(THREE, "accuracy", y, sure(before)).verdict(sure(after))
    assert verdict.accepted  # the standard error of 0.7 is 0.010 here
    assert 0.002 < verdict.bound < 0.01


def test_whole_groups_are_drawn():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(100), 20)
    y = rng.integers(0, 3, 2000)
    after = y.copy()
    after[groups == 0] = (y[groups == 0] + 1) % 3
    alone = Guard(THREE, "accuracy", y, sure(y)).verdict(sure(after))
    grouped = Guard(THREE, "accuracy", y, sure(y), groups=groups).verdict(sure(after))
    assert grouped.rows == 100
    assert grouped.bound > 2 * alone.bound


def test_few_positive_rows_prove_little_of_a_rank():
    rng = np.random.default_rng(4)
    y = (np.arange(400) < 8).astype(np.int64)
    p = 0.5 + 0.4 * (2 * y - 1) + rng.normal(0, 0.02, 400)
    guard = Guard(TWO, "auroc", y, np.column_stack([1 - p, p]))
    verdict = guard.verdict(np.column_stack([1 - p, p]))
    assert guard.value == 1.0
    assert not verdict.accepted
    assert guard.least_rows > 1000


def test_errors_without_an_end_are_judged_by_their_share():
    rng = np.random.default_rng(5)
    y = rng.normal(0, 100, 500)
    before = (y + rng.normal(0, 10, 500))[:, None]
    guard = Guard(Regression(target="y"), "rmse", y, before, max_drop=0.02)
    assert guard.verdict(before + rng.normal(0, 0.3, (500, 1))).accepted
    worse = guard.verdict(before + rng.normal(0, 5, (500, 1)))
    assert not worse.accepted
    assert 0.05 < worse.drop < 0.25


def test_scores_that_are_no_numbers_are_never_accepted():
    y = np.arange(600) % 3
    broken = sure(y)
    broken[7] = np.nan
    verdict = Guard(THREE, "accuracy", y, sure(y)).verdict(broken)
    assert not verdict.accepted
    assert verdict.bound == np.inf


def test_more_rows_are_foretold():
    y = np.arange(200) % 3
    guard = Guard(THREE, "accuracy", y, sure(y))
    assert not guard.verdict(sure(y)).accepted
    foretold = guard.verdict(sure(y), rows=800)
    assert foretold.bound == pytest.approx(1 - 0.05 ** (1 / 800), rel=0.08)


def test_a_metric_that_is_not_defined_is_refused():
    with pytest.raises(CompressError, match="not defined"):
        Guard(TWO, "auroc", np.zeros(50, np.int64), np.tile([0.6, 0.4], (50, 1)))
