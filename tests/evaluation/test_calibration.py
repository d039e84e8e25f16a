"""Temperature scaling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.errors import DataError
from lepta.evaluation import METRICS, apply_temperature, fit_temperature


def logits_and_labels(seed, rows=1500, classes=3):
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, (rows, classes))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return z, (p.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1), p


@pytest.mark.parametrize("distortion", [0.4, 2.5])
def test_a_wrong_temperature_is_found(distortion):
    z, y, _ = logits_and_labels(0)
    assert fit_temperature(z * distortion, y) == pytest.approx(distortion, rel=0.1)
    sharp = np.exp(z * distortion)
    sharp /= sharp.sum(axis=1, keepdims=True)
    temperature = fit_temperature(sharp, y)
    assert temperature == pytest.approx(distortion, rel=0.1)
    before = METRICS.get("log_loss")(y, sharp)
    assert METRICS.get("log_loss")(y, apply_temperature(sharp, temperature)) < before


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([12, 40, 150]))
def test_it_never_raises_the_loss_of_its_own_rows(seed, rows):
    z, y, _ = logits_and_labels(seed, rows)
    p = np.exp(3 * z) / np.exp(3 * z).sum(axis=1, keepdims=True)
    scaled = apply_temperature(p, fit_temperature(p, y))
    assert _doubting_loss(y, scaled) <= _doubting_loss(y, p) + 1e-5


def _doubting_loss(y, p):
    """Log loss where one row in n + 2 may be labelled wrongly."""
    doubt, logs = 1 / (len(y) + 2), np.log(np.clip(p, 1e-300, 1))
    truth = logs[np.arange(len(y)), y]
    return -((1 - doubt) * truth + doubt * logs.mean(axis=1)).mean()


def test_rows_without_an_error_do_not_sharpen_without_end():
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    margin = np.where(y == 1, 1, -1) * rng.uniform(1, 9, 80)
    temperature = fit_temperature(np.stack([-margin, margin], 1), y)
    assert temperature > 0.3
    top = apply_temperature(np.array([[0.0, 1e-6], [0.0, 0.0]]) + 0.5, temperature)
    assert (top < 1).all()


def test_noise_does_not_move_it():
    kept = 0
    for seed in range(40):
        _, y, p = logits_and_labels(seed, 60)
        kept += fit_temperature(p, y) == 1.0
    assert kept >= 15


def test_too_little_to_fit_gives_one():
    assert fit_temperature([[0.9, 0.1]] * 5, [0] * 5) == 1.0
    assert fit_temperature([[0.9, 0.1]] * 50, [0] * 50) == 1.0


def test_certain_probabilities_stay_finite():
    p = np.tile([[1.0, 0.0], [0.0, 1.0]], (50, 1))
    y = np.tile([0, 1], 50)
    y[:7] = 1 - y[:7]
    temperature = fit_temperature(p, y)
    assert 1.0 < temperature <= 20.0
    assert np.isfinite(apply_temperature(p, temperature)).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="finite scores"):
        fit_temperature([[np.nan, 1.0]], [0])
