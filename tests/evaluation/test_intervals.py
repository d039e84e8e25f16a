"""Intervals: against published formulas, and by how often they cover the truth."""

import numpy as np
import pytest

from lepta.core.errors import ConfigError, DataError
from lepta.evaluation import METRICS, measure
from lepta.evaluation.intervals import auroc_interval, bootstrap, decision_interval, wilson
from lepta.tasks import Binary, Multiclass, Regression

BINARY = Binary(target="y", classes=("no", "yes"))


def two(p):
    return np.column_stack([1 - p, p])


def draw(rng, rows=120, gap=1.5):
    y = rng.permutation(np.arange(rows) % 2)
    return y, 1 / (1 + np.exp(-(gap * (y - 0.5) + rng.normal(size=rows))))


def naive_delong(y, p):
    """Variance by the definition, all pairs."""
    x, z = p[y == 1], p[y == 0]
    wins = (x[:, None] > z) + 0.5 * (x[:, None] == z)
    return wins.mean(), wins.mean(1).var(ddof=1) / len(x) + wins.mean(0).var(ddof=1) / len(z)


def test_delong_is_the_definition():
    rng = np.random.default_rng(1)
    for ties in (20, 2, 1):
        y, p = draw(rng)
        p = p.round(ties)
        value, variance = naive_delong(y, p)
        found = auroc_interval(y, two(p))
        half = 1.959964 * np.sqrt(variance) / (value * (1 - value))
        logit = np.log(value / (1 - value))
        assert found.low == pytest.approx(1 / (1 + np.exp(half - logit)), abs=1e-6)
        assert found.high == pytest.approx(1 / (1 + np.exp(-half - logit)), abs=1e-6)
        assert found.method == "DeLong"


def test_obuchowski_with_rows_as_groups_is_close_to_delong():
    y, p = draw(np.random.default_rng(2), 400)
    alone = auroc_interval(y, two(p))
    grouped = auroc_interval(y, two(p), groups=np.arange(400))
    assert grouped.low == pytest.approx(alone.low, abs=2e-3)
    assert grouped.high == pytest.approx(alone.high, abs=2e-3)


def test_copies_of_rows_do_not_narrow_a_grouped_interval():
    y, p = draw(np.random.default_rng(3), 100)
    once = auroc_interval(y, two(p))
    five = auroc_interval(
        np.repeat(y, 5), two(np.repeat(p, 5)), groups=np.repeat(np.arange(100), 5)
    )
    blind = auroc_interval(np.repeat(y, 5), two(np.repeat(p, 5)))
    assert five.high - five.low == pytest.approx(once.high - once.low, rel=0.02)
    assert blind.high - blind.low < 0.5 * (once.high - once.low)


def test_a_perfect_order_still_has_room_below():
    y = np.arange(20) % 2
    found = auroc_interval(y, two(y * 0.8 + 0.1))
    assert found.high == 1.0
    assert 0.6 < found.low < 0.8


def test_auroc_interval_is_undefined_for_a_class_of_one():
    y = np.array([1, 0, 0, 0])
    assert auroc_interval(y, two(np.array([0.9, 0.2, 0.3, 0.1]))) is None


def test_wilson_reference_and_edges():
    found = wilson(8, 10)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10).low == 0.0
    assert wilson(10, 10).high == 1.0
    assert wilson(0, 0) is None


def test_decision_intervals_hold_the_value():
    table = np.array([[50, 5], [10, 35]])
    values = {
        "accuracy": 0.85,
        "precision": 35 / 40,
        "recall": 35 / 45,
        "specificity": 50 / 55,
        "f1": 70 / 85,
    }
    for name, value in values.items():
        found = decision_interval(name, table)
        assert found.low < value < found.high
    assert decision_interval("ece", table) is None
    assert decision_interval("recall", np.eye(3)) is None


def coverage(simulate, truth, repetitions=200):
    inside = 0
    for seed in range(repetitions):
        found = simulate(np.random.default_rng(seed))
        inside += found is not None and found.low <= truth <= found.high
    return inside / repetitions


def test_delong_covers():
    from math import erf

    truth = 0.5 * (1 + erf(1.5 / 2))  # two unit normals, 1.5 apart

    def simulate(rng):
        y, p = draw(rng, 80)
        return auroc_interval(y, two(p))

    assert 0.91 <= coverage(simulate, truth) <= 0.99


def test_grouped_delong_covers_where_rows_are_not_independent():
    def simulate(rng, grouped):
        groups = np.repeat(np.arange(60), 5)
        y = np.repeat(np.arange(60) % 2, 5)
        shared = np.repeat(rng.normal(size=60), 5)
        p = 1 / (1 + np.exp(-(1.5 * (y - 0.5) + shared + 0.5 * rng.normal(size=300))))
        return auroc_interval(y, two(p), groups=groups if grouped else None)

    from math import erf, sqrt

    truth = 0.5 * (1 + erf(1.5 / sqrt(2 * (1 + 0.25)) / sqrt(2)))
    assert 0.90 <= coverage(lambda rng: simulate(rng, True), truth) <= 0.99
    assert coverage(lambda rng: simulate(rng, False), truth) < 0.75


@pytest.mark.parametrize(("name", "truth"), [("rmse", 1.0), ("mae", np.sqrt(2 / np.pi))])
def test_bootstrap_covers_errors(name, truth):
    metric = METRICS.get(name)

    def simulate(rng):
        error = rng.normal(size=80)
        return bootstrap([metric], np.zeros(80), error[:, None], resamples=300)[name]

    assert 0.89 <= coverage(simulate, truth) <= 0.99


def test_bootstrap_covers_the_log_loss_and_the_ece_of_a_calibrated_model():
    loss = float(np.mean([-(p * np.log(p) + (1 - p) * np.log(1 - p))
                          for p in np.linspace(0.05, 0.95, 400)]))  # fmt: skip

    def simulate(rng, name):
        p = rng.uniform(0.05, 0.95, 150)
        y = (rng.random(150) < p).astype(int)
        return bootstrap([METRICS.get(name)], y, two(p), resamples=300)[name]

    assert 0.89 <= coverage(lambda rng: simulate(rng, "log_loss"), loss, 120) <= 1.0
    assert coverage(lambda rng: simulate(rng, "ece"), 0.0, 100) >= 0.9


def test_clustered_bootstrap_is_wider_than_a_blind_one():
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.normal(size=30), 8)
    error = (shared + 0.2 * rng.normal(size=240))[:, None]
    args = ([METRICS.get("rmse")], np.zeros(240), error)
    blind = bootstrap(*args)["rmse"]
    grouped = bootstrap(*args, groups=np.repeat(np.arange(30), 8))["rmse"]
    assert grouped.high - grouped.low > 1.7 * (blind.high - blind.low)
    assert grouped.method == "clustered bootstrap"


def test_bootstrap_needs_two_groups_and_a_defined_metric():
    rmse, auroc = METRICS.get("rmse"), METRICS.get("auroc")
    assert bootstrap([rmse], np.zeros(4), np.ones((4, 1)), groups=np.zeros(4, int))["rmse"] is None
    assert bootstrap([auroc], np.zeros(4, int), two(np.ones(4)))["auroc"] is None


def test_a_faultless_clustered_accuracy_still_has_room_below():
    y = np.arange(40) % 2
    found = bootstrap([METRICS.get("accuracy")], y, two(y * 1.0), groups=np.arange(40) // 2)
    assert found["accuracy"].high == 1.0
    assert found["accuracy"].low < 0.9


def test_measure_gives_every_metric_of_the_task_in_order():
    y, p = draw(np.random.default_rng(5))
    measured = measure(BINARY, y, two(p), seed=3)
    assert tuple(m.name for m in measured) == BINARY.metrics
    for m in measured:
        assert m.low <= m.value <= m.high
        assert (m.n, m.split) == (120, "test")
    methods = {m.name: m.method for m in measured}
    assert methods["auroc"] == "DeLong"
    assert methods["accuracy"] == methods["f1"] == "Wilson"
    assert methods["brier"] == "bootstrap"
    assert measured == measure(BINARY, y, two(p), seed=3)
    wide = measure(BINARY, y, two(p), level=0.99)
    assert all(
        a.high - a.low <= b.high - b.low for a, b in zip(measured[:1], wide[:1], strict=True)
    )


def test_measure_with_groups_and_with_weights():
    y, p = draw(np.random.default_rng(6))
    groups = ["a" if k % 2 else None for k in range(120)]
    by_group = {m.name: m.method for m in measure(BINARY, y, two(p), groups=groups)}
    assert by_group["auroc"] == "Obuchowski"
    assert by_group["recall"] == "clustered bootstrap"
    weights = np.arange(120) % 3 + 1.0
    weighted = {m.name: m for m in measure(BINARY, y, two(p), weights=weights)}
    assert weighted["auroc"].method == "bootstrap"
    assert weighted["auroc"].value == METRICS.get("auroc")(y, two(p), weights)


def test_measure_of_more_classes_and_numbers():
    rng = np.random.default_rng(7)
    task = Multiclass(target="y", classes=("a", "b", "c"))
    y = rng.integers(0, 3, 90)
    raw = np.exp(rng.normal(size=(90, 3)) + 2 * np.eye(3)[y])
    found = {m.name: m for m in measure(task, y, raw / raw.sum(1, keepdims=True))}
    assert found["auroc"].method == "DeLong, macro"
    assert all(m.low <= m.value <= m.high for m in found.values())
    number = measure(Regression(target="y"), y.astype(float), y[:, None] + rng.normal(size=(90, 1)))
    assert [m.name for m in number] == ["rmse", "mae", "r2"]
    assert all(m.low <= m.value <= m.high for m in number)


def test_macro_delong_agrees_with_a_bootstrap():
    rng = np.random.default_rng(8)
    y = rng.integers(0, 3, 300)
    raw = np.exp(rng.normal(size=(300, 3)) + 1.5 * np.eye(3)[y])
    scores = raw / raw.sum(1, keepdims=True)
    theory = auroc_interval(y, scores)
    drawn = bootstrap([METRICS.get("auroc")], y, scores)["auroc"]
    assert theory.high - theory.low == pytest.approx(drawn.high - drawn.low, rel=0.2)


def test_one_class_measures_none_and_not_nan():
    measured = measure(BINARY, np.zeros(9, int), two(np.full(9, 0.2)))
    undefined = {m.name for m in measured if m.value is None}
    assert undefined == {"auroc", "average_precision", "precision", "recall", "f1"}
    assert all(m.low is None for m in measured if m.value is None)


@pytest.mark.parametrize(
    ("y", "scores", "options", "message"),
    [
        ([0, 1], [[0.5, 0.5]], {}, "shape"),
        ([], np.zeros((0, 2)), {}, "no row"),
        ([0, 1], [[0.5, 0.5], [np.nan, 0.1]], {}, "not a number"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], {}, "Class codes"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], {"groups": ["a"]}, "1 groups for 2 rows"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], {"weights": [1, -1]}, "not negative"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], {"weights": [0, 0]}, "All weights are 0"),
    ],
)
def test_what_does_not_fit_is_refused(y, scores, options, message):
    with pytest.raises(DataError, match=message):
        measure(BINARY, np.array(y, int), scores, **options)


def test_a_level_must_be_a_share():
    with pytest.raises(ConfigError, match="level"):
        measure(BINARY, [0, 1], [[0.5, 0.5]] * 2, level=95)
