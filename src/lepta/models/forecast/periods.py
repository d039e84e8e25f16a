"""Which seasons a series has: told by the time between its rows, and found in its windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepta.models.forecast.clock import CYCLES

_LEAST = 0.3
"""Autocorrelation from which on a peak is taken for a season."""
_ROWS = 512
"""Windows looked at."""


def periods_of(own: NDArray[np.float64], step: float | None) -> tuple[int, ...]:
    """Return seasons to try, in steps, the shortest first.

    Args:
        own: windows (rows, series, length).
        step: seconds from row to row, or None.

    Returns:
        The day, the week and the year where these are a whole number of rows, and the peaks of the
        autocorrelation; each at most the length of a window.
    """
    length = own.shape[2]
    told = [round(cycle / step) for cycle in CYCLES] if step is not None else []
    found = {period for period in told if 2 <= period <= length} | set(_peaks(own))
    return tuple(sorted(found))


def _peaks(own: NDArray[np.float64]) -> list[int]:
    """Return up to two lags at which the autocorrelation of windows without their line peaks."""
    rows, series, length = own.shape
    if length < 5:
        return []
    chosen = np.linspace(0, rows - 1, min(rows, _ROWS)).astype(int)
    some = np.linspace(0, series - 1, min(series, 8)).astype(int)
    windows = own[np.ix_(chosen, some)].reshape(-1, length)
    steps = np.arange(length) - (length - 1) / 2
    left = windows - windows.mean(axis=1, keepdims=True)
    left = left - (left @ steps)[:, None] * steps / (steps @ steps)
    power = float((left**2).mean())
    if power <= 0:
        return []
    lags = np.arange(length // 2 + 2)
    found = np.array([(left[:, lag:] * left[:, : length - lag]).mean() for lag in lags]) / power
    inner = found[1:-1]
    is_peak = (inner > found[:-2]) & (inner >= found[2:]) & (inner > _LEAST) & (lags[1:-1] >= 2)
    peaks = np.flatnonzero(is_peak) + 1
    return [int(lag) for lag in peaks[np.argsort(-found[peaks], kind="stable")][:2]]
