"""Classical forecasts as matrices: a window (length,) times a matrix (length, horizon).

Whatever forecasts by sums of what was seen is such a matrix, exponential smoothing with its initial
states estimated by least squares included. So the graph that ships needs one product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def last_value(length: int, horizon: int) -> Floats:
    """Repeat the last value (a random walk's forecast)."""
    matrix = np.zeros((length, horizon))
    matrix[-1] = 1.0
    return matrix


def drift(length: int, horizon: int) -> Floats:
    """Go on along the line from the first value to the last."""
    matrix = last_value(length, horizon)
    slope = np.arange(1, horizon + 1) / max(length - 1, 1)
    matrix[-1] += slope
    matrix[0] -= slope
    return matrix


def seasonal_naive(length: int, horizon: int, period: int, cycles: int = 1) -> Floats:
    """Repeat the last season, or the mean of the last ``cycles`` seasons.

    Args:
        length: steps seen.
        horizon: steps ahead.
        period: steps of a season, at most ``length``.
        cycles: seasons; only whole ones are used.
    """
    cycles = max(1, min(cycles, length // period))
    matrix = np.zeros((length, horizon))
    for step in range(horizon):
        for cycle in range(1, cycles + 1):
            matrix[length - cycle * period + step % period, step] += 1.0 / cycles
    return matrix


@dataclass(frozen=True)
class Smoothing:
    """Parameters of additive exponential smoothing, ETS(A,Ad,A) in its innovations form.

    Attributes:
        alpha: how fast the level follows, 0 to 1.
        beta: how fast the slope follows; None for no trend.
        phi: factor of the slope from step to step, 1 for one that does not fade.
        gamma: how fast the season follows; None for no season.
        period: steps of the season.
    """

    alpha: float
    beta: float | None = None
    phi: float = 1.0
    gamma: float | None = None
    period: int = 1


def smoothing(length: int, horizon: int, given: Smoothing) -> Floats:
    """Return the forecast of exponential smoothing (Hyndman et al. 2008, chapter 2).

    For given parameters the one-step errors are linear in the window and in the initial states. The
    states that make them least in squares (the concentrated likelihood) are so linear in the
    window, and so is the forecast.
    """
    final, errors = _filtered(length, given)
    seen, states = errors[:, :length], errors[:, length:]
    initial = -np.linalg.pinv(states, rcond=1e-8) @ seen
    reached = final[:, :length] + final[:, length:] @ initial
    steps = np.arange(1, horizon + 1)
    weights = np.zeros((horizon, len(reached)))
    weights[:, 0] = 1.0
    place = 1
    if given.beta is not None:
        weights[:, 1] = np.cumsum(given.phi**steps)
        place = 2
    if given.gamma is not None:
        weights[steps - 1, place + (steps - 1) % given.period] = 1.0
    return np.asarray((weights @ reached).T)


def _filtered(length: int, given: Smoothing) -> tuple[Floats, Floats]:
    """Return final states and one-step errors as matrices over (window, initial states).

    States are the level, the slope if there is one, and the season, its next step first.
    """
    trend = given.beta is not None
    first = 2 if trend else 1
    seasons = given.period if given.gamma is not None else 0
    count = first + seasons
    level, slope = np.zeros((2, length + count))
    level[length] = 1.0
    if trend:
        slope[length + 1] = 1.0
    season = np.zeros((seasons, length + count))
    season[np.arange(seasons), length + first + np.arange(seasons)] = 1.0
    errors = np.zeros((length, length + count))
    for step in range(length):
        error = errors[step]
        error[step] = 1.0
        foreseen = level + given.phi * slope
        place = step % seasons if seasons else 0
        error -= foreseen + season[place] if seasons else foreseen
        level = foreseen + given.alpha * error
        if trend:
            slope = given.phi * slope + float(given.beta or 0.0) * error
        if seasons:
            season[place] += float(given.gamma or 0.0) * error
    ahead = np.roll(season, -(length % seasons), axis=0) if seasons else season
    states = [level, slope] if trend else [level]
    return np.concatenate([np.array(states), ahead]), errors


def seasonal_part(length: int, period: int) -> Floats:
    """Return (length + period, length): the season of a window and of the period after it.

    It is that of a straight line and one value a step of the season, fitted by least squares.
    """
    steps = np.arange(length + period)
    phases = (steps[:, None] % period == np.arange(period)).astype(np.float64) - 1.0 / period
    line = np.stack([np.ones(length), steps[:length] - steps[:length].mean()], axis=1)
    solved = np.linalg.pinv(np.hstack([line, phases[:length]]), rcond=1e-10)
    return np.asarray(phases @ solved[2:])


def theta(length: int, horizon: int, alpha: float, period: int = 1) -> Floats:
    """Return the theta forecast (Assimakopoulos & Nikolopoulos 2000).

    Simple smoothing with half the slope of a straight line as its drift (Hyndman & Billah 2003), of
    what is left without the season, which is added again.
    """
    centred = np.arange(length) - (length - 1) / 2
    slope = centred / max(float(centred @ centred), 1.0)
    kept = (1.0 - alpha) ** np.arange(length - 1, -1, -1)
    level = alpha * kept
    level[0] += 1.0 - level.sum()
    spread = np.arange(horizon) + (1.0 - (1.0 - alpha) ** length) / alpha
    plain = level[:, None] + 0.5 * slope[:, None] * spread
    if period < 2:
        return np.asarray(plain)
    season = seasonal_part(length, period)
    ahead = season[length + np.arange(horizon) % period]
    return np.asarray((plain.T @ (np.eye(length) - season[:length]) + ahead).T)
