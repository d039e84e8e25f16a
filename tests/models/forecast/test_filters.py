"""Classical forecasts as matrices are what the literature says they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.models.forecast.filters import (
    Smoothing,
    drift,
    last_value,
    seasonal_naive,
    smoothing,
    theta,
)
from lepta.models.forecast.periods import periods_of


def wave(length: int, period: int = 12) -> np.ndarray:
    steps = np.arange(length)
    noise = np.random.default_rng(0).normal(size=length)
    return 50 + 0.3 * steps + 8 * np.sin(2 * np.pi * steps / period) + noise


def test_smoothing_is_that_of_statsmodels() -> None:
    """With its initial states estimated by likelihood, for given parameters."""
    ets = pytest.importorskip("statsmodels.tsa.exponential_smoothing.ets")
    series = wave(60)
    model = ets.ETSModel(series, trend="add", damped_trend=True, seasonal="add",
                         seasonal_periods=12)  # fmt: skip
    fixed = {"smoothing_level": 0.3, "smoothing_trend": 0.05, "smoothing_seasonal": 0.1,
             "damping_trend": 0.95}  # fmt: skip
    with model.fix_params(fixed):
        wanted = model.fit(disp=False, maxiter=5000).forecast(18)
    got = series @ smoothing(60, 18, Smoothing(0.3, 0.05, 0.95, 0.1, 12))
    np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_theta_is_that_of_statsmodels() -> None:
    """Its drift is estimated from the same line, its level from the same weights."""
    module = pytest.importorskip("statsmodels.tsa.forecasting.theta")
    series = wave(60)
    found = module.ThetaModel(series, deseasonalize=False).fit()
    got = series @ theta(60, 6, float(found.params["alpha"]))
    np.testing.assert_allclose(got, found.forecast(6), atol=0.01)


def test_a_season_goes_on() -> None:
    steps = np.arange(42)
    season = np.tile([3.0, -1.0, 0.5, 7.0, 2.0, 2.0, 9.0], 6)
    ahead = season[:10]
    for matrix in (
        seasonal_naive(42, 10, 7),
        seasonal_naive(42, 10, 7, 3),
        smoothing(42, 10, Smoothing(0.3, gamma=0.1, period=7)),
        theta(42, 10, 0.3, 7),
    ):
        np.testing.assert_allclose(season @ matrix, ahead, atol=0.15)
    line = 2.0 + 0.5 * steps
    further = 2.0 + 0.5 * np.arange(42, 52)
    np.testing.assert_allclose(line @ drift(42, 10), further, atol=1e-9)
    trend = smoothing(42, 10, Smoothing(0.3, 0.1, 1.0, 0.1, 7))
    np.testing.assert_allclose((line + season) @ trend, further + ahead, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(3, 40),
    st.integers(1, 15),
    st.floats(0.02, 0.99),
    st.floats(0.005, 0.3),
    st.floats(0.8, 1.0),
    st.integers(2, 9),
)
def test_all_follow_the_level(
    length: int, horizon: int, alpha: float, beta: float, phi: float, period: int
) -> None:
    """A constant added to the window is added to the forecast."""
    found = [last_value(length, horizon), drift(length, horizon), theta(length, horizon, alpha),
             smoothing(length, horizon, Smoothing(alpha, beta, phi))]  # fmt: skip
    if 2 * period <= length:
        given_ = Smoothing(alpha, beta, phi, 0.1, period)
        found += [seasonal_naive(length, horizon, period), theta(length, horizon, alpha, period),
                  smoothing(length, horizon, given_)]  # fmt: skip
    for matrix in found:
        assert matrix.shape == (length, horizon)
        np.testing.assert_allclose(matrix.sum(axis=0), 1.0, atol=1e-6)


def test_seasons_are_told_by_the_clock_and_found() -> None:
    windows = np.stack([wave(72, 24)[None]] * 4)
    assert 24 in periods_of(windows, None)
    assert periods_of(windows, 3600.0) == tuple(sorted({24, *periods_of(windows, None)}))
    noise = np.random.default_rng(0).normal(size=(50, 2, 40))
    assert periods_of(noise, None) == ()
    assert periods_of(np.zeros((3, 1, 20)), None) == ()
