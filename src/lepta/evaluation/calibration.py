"""Temperature scaling: one number that makes probabilities mean what they say."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lepta.core.errors import DataError
from lepta.tasks.metrics.probabilities import TINY

Floats = NDArray[np.float64]
_COLDEST, _HOTTEST = 0.05, 20.0
_FOLDS = 5


def fit_temperature(scores: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Return the temperature T that makes softmax(logits / T) fit best (Guo et al. 2017).

    The log loss is convex in 1 / T, so that a guarded Newton search finds its minimum. Because a
    small validation split can mislead, T is kept only if temperatures fitted on four fifths of the
    rows lower the log loss of the other fifth on the whole; otherwise 1.0 is returned.

    Args:
        scores: logits or probabilities of validation rows, (rows, classes). Rows that are not
            negative and add up to 1 are probabilities.
        y: class codes, (rows,).
        weights: weight of each row.

    Raises:
        DataError: shapes do not fit or a score is not finite.
    """
    logits, codes, mass = _read(scores, y, weights)
    if len(codes) < 2 * _FOLDS or len(np.unique(codes)) < 2:
        return 1.0
    fold = np.empty(len(codes), np.int64)
    fold[np.argsort(codes, kind="stable")] = np.arange(len(codes)) % _FOLDS
    gain = 0.0
    for held in range(_FOLDS):
        seen, unseen = fold != held, fold == held
        inverse = _best(logits[seen], codes[seen], mass[seen])
        gain += _loss(1.0, logits[unseen], codes[unseen], mass[unseen])
        gain -= _loss(inverse, logits[unseen], codes[unseen], mass[unseen])
    if gain <= 1e-6 * mass.sum():
        return 1.0
    inverse = _best(logits, codes, mass)
    lower = _loss(inverse, logits, codes, mass) < _loss(1.0, logits, codes, mass)
    return 1.0 / inverse if lower else 1.0


def apply_temperature(probabilities: ArrayLike, temperature: float) -> Floats:
    """Return probabilities (rows, classes) recalibrated with ``temperature``."""
    p = np.asarray(probabilities, np.float64)
    return _softmax(np.log(p.clip(TINY, 1.0)) / temperature)


def _read(
    scores: ArrayLike, y: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, NDArray[np.int64], Floats]:
    values, codes = np.asarray(scores, np.float64), np.asarray(y, np.int64)
    if values.ndim != 2 or len(values) != len(codes) or not np.isfinite(values).all():
        raise DataError(
            f"A temperature needs finite scores (rows, classes); got the shape {values.shape} for "
            f"{len(codes)} rows."
        )
    mass = np.ones(len(codes)) if weights is None else np.asarray(weights, np.float64)
    if (values >= 0).all() and np.allclose(values.sum(axis=1), 1.0, atol=1e-4):
        values = np.log(values.clip(TINY, 1.0))
    return values - values.max(axis=1, keepdims=True), codes, mass


def _softmax(logits: Floats) -> Floats:
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def _loss(inverse: float, logits: Floats, codes: NDArray[np.int64], mass: Floats) -> float:
    scaled = inverse * logits
    total = np.log(np.exp(scaled).sum(axis=1)) - _credited(scaled, codes)
    return float(mass @ total)


def _credited(logits: Floats, codes: NDArray[np.int64]) -> Floats:
    """Return the logit of the truth, mixed with a little of all: one row in n + 2 may be wrong.

    Rows without a single error would otherwise sharpen the scores without end (Platt 1999).
    """
    doubt = 1.0 / (len(codes) + 2)
    truth = logits[np.arange(len(codes)), codes]
    return np.asarray((1.0 - doubt) * truth + doubt * logits.mean(axis=1))


def _best(logits: Floats, codes: NDArray[np.int64], mass: Floats) -> float:
    """Return 1 / T in its bounds, by Newton steps that fall back on bisection."""
    low, high, inverse = 1.0 / _HOTTEST, 1.0 / _COLDEST, 1.0
    truth = _credited(logits, codes)
    for _ in range(60):
        p = _softmax(inverse * logits)
        mean = (p * logits).sum(axis=1)
        slope = float(mass @ (mean - truth))
        curve = float(mass @ ((p * logits**2).sum(axis=1) - mean**2))
        if slope > 0:
            high = inverse
        else:
            low = inverse
        step = inverse - slope / curve if curve > 0 else math.inf
        following = step if low < step < high else math.sqrt(low * high)
        if abs(following - inverse) <= 1e-9 * inverse:
            break
        inverse = following
    return inverse
