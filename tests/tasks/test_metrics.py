"""Metrics, held against scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lepta.core.errors import ConfigError
from lepta.evaluation import METRICS
from lepta.tasks import TASKS, Binary, Multiclass, Regression
from lepta.tasks.metrics.probabilities import BINS, TINY

metrics = pytest.importorskip("sklearn.metrics")


@st.composite
def classified(draw, classes=2, weighted=False):
    rows = draw(st.integers(4, 40))
    y = draw(arrays(np.int64, rows, elements=st.integers(0, classes - 1)))
    raw = draw(arrays(np.float64, (rows, classes), elements=st.sampled_from([0.1, 0.3, 1.0, 2.5])))
    weights = None
    if weighted:
        weights = draw(arrays(np.float64, rows, elements=st.sampled_from([0.5, 1.0, 3.0])))
    return y, raw / raw.sum(axis=1, keepdims=True), weights


def same(found, wanted):
    assert found == pytest.approx(wanted, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(classified(weighted=True))
def test_two_classes_agree_with_scikit_learn(case):
    y, scores, w = case
    answers = (scores[:, 1] >= 0.5).astype(int)
    get = {name: METRICS.get(name)(y, scores, w) for name in Binary.metrics}
    same(get["accuracy"], metrics.accuracy_score(y, answers, sample_weight=w))
    same(get["brier"], metrics.brier_score_loss(y, scores[:, 1], sample_weight=w))
    clipped = scores.clip(TINY, 1 - TINY)
    same(get["log_loss"], metrics.log_loss(y, clipped, labels=[0, 1], sample_weight=w))
    if 0 < y.sum() < len(y):
        same(get["auroc"], metrics.roc_auc_score(y, scores[:, 1], sample_weight=w))
        same(
            get["average_precision"],
            metrics.average_precision_score(y, scores[:, 1], sample_weight=w),
        )
        same(get["recall"], metrics.recall_score(y, answers, sample_weight=w))
        same(get["specificity"], metrics.recall_score(y, answers, pos_label=0, sample_weight=w))
        same(get["f1"], metrics.f1_score(y, answers, sample_weight=w))
    else:
        assert get["auroc"] is None
        assert get["average_precision"] is None
    if answers.any():
        same(get["precision"], metrics.precision_score(y, answers, sample_weight=w))
    else:
        assert get["precision"] is None


@settings(max_examples=40, deadline=None)
@given(classified(classes=4, weighted=True))
def test_more_classes_agree_with_scikit_learn(case):
    y, scores, w = case
    answers, occur = scores.argmax(axis=1), np.unique(y)
    options = {"labels": occur, "average": "macro", "sample_weight": w, "zero_division": 0}
    for name in ("precision", "recall", "f1"):
        wanted = getattr(metrics, f"{name}_score")(y, answers, **options)
        same(METRICS.get(name)(y, scores, w), wanted)
    areas = [
        metrics.roc_auc_score(y == k, scores[:, k], sample_weight=w)
        for k in occur
        if len(occur) > 1
    ]
    found = METRICS.get("auroc")(y, scores, w)
    assert (found is None) == (not areas)
    if areas:
        same(found, np.mean(areas))
    same(
        METRICS.get("log_loss")(y, scores, w),
        metrics.log_loss(y, scores, labels=range(4), sample_weight=w),
    )


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.float64, (20, 2), elements=st.floats(-50, 50)),
    arrays(np.float64, 20, elements=st.sampled_from([1.0, 2.0])),
)
def test_numbers_agree_with_scikit_learn(pairs, w):
    y, predicted = pairs[:, 0], pairs[:, 1:]
    wanted = metrics.mean_squared_error(y, predicted[:, 0], sample_weight=w)
    same(METRICS.get("rmse")(y, predicted, w), np.sqrt(wanted))
    same(
        METRICS.get("mae")(y, predicted, w),
        metrics.mean_absolute_error(y, predicted[:, 0], sample_weight=w),
    )
    if np.ptp(y) > 1e-3:
        found = METRICS.get("r2")(y, predicted, w)
        assert found == pytest.approx(
            metrics.r2_score(y, predicted[:, 0], sample_weight=w), rel=1e-6, abs=1e-6
        )


def test_brier_sums_over_classes():
    y, scores = np.array([0, 2]), np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    assert METRICS.get("brier")(y, scores) == pytest.approx((0.25 + 0.0625 + 0.0625) / 2)


def test_ece_is_the_gap_by_hand():
    claimed = np.array([0.01, 0.02, 0.99, 0.98])
    y = np.array([0, 1, 1, 1])
    expected = (abs(0.03 - 1) + abs(1.97 - 2)) / 4
    assert METRICS.get("ece")(y, claimed) == pytest.approx(expected)
    assert BINS == 15


def test_weights_count_as_copies():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 30), rng.random(30).round(1)
    copies = rng.integers(1, 4, 30)
    for name in Binary.metrics:
        once = METRICS.get(name)(y, p, copies)
        often = METRICS.get(name)(np.repeat(y, copies), np.repeat(p, copies))
        assert once == pytest.approx(often), name


@pytest.mark.parametrize("name", ["auroc", "average_precision", "recall", "f1"])
def test_a_single_class_is_undefined_not_nan(name):
    scores = np.full((5, 2), [0.9, 0.1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert METRICS.get(name)(np.zeros(5, int), scores) is None


def test_r2_of_a_constant_is_undefined_and_a_small_spread_is_not():
    assert METRICS.get("r2")(np.full(9, 0.1), np.zeros((9, 1))) is None
    y = 1e6 + 0.1 * np.arange(20)
    assert METRICS.get("r2")(y, y[:, None]) == pytest.approx(1.0)


def test_no_rows_are_undefined():
    assert METRICS.get("accuracy")(np.zeros(0, int), np.zeros((0, 2))) is None


def test_the_threshold_decides():
    y, scores = np.array([0, 1]), np.array([[0.7, 0.3], [0.6, 0.4]])
    assert METRICS.get("recall")(y, scores) == 0.0
    assert METRICS.get("recall")(y, scores, threshold=0.35) == 1.0


def test_every_task_names_known_metrics_of_the_same_direction():
    for name in TASKS.names():
        task = TASKS.get(name)
        for metric in task.metrics:
            assert METRICS.get(metric).name == metric
        assert METRICS.get(task.metrics[0]).maximise == task.maximise
    assert {Binary, Multiclass, Regression} <= {TASKS.get(name) for name in TASKS.names()}


def test_unknown_metric_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="Did you mean 'auroc'"):
        METRICS.get("auroq")
