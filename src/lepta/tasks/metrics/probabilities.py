"""Metrics of probabilities: whether they mean what they say."""

from __future__ import annotations

import numpy as np

from lepta.tasks.metrics.base import Array, Floats, Metric, both_classes, ratio

TINY = float(np.finfo(np.float32).eps)
"""Probabilities are clipped to [TINY, 1 - TINY] before a logarithm: models answer in float32."""
BINS = 15
"""Equal-width bins of the expected calibration error."""


def _log_loss(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    likely = both_classes(scores)[np.arange(len(y)), y].clip(TINY, 1.0 - TINY)
    return ratio(weights @ -np.log(likely), weights.sum(axis=1))


def _brier(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    probabilities = both_classes(scores)
    if probabilities.shape[1] == 2:
        error = (probabilities[:, 1] - y) ** 2
    else:
        truth = y[:, None] == np.arange(probabilities.shape[1])
        error = ((probabilities - truth) ** 2).sum(axis=1)
    return ratio(weights @ error, weights.sum(axis=1))


def confidence(y: Array, scores: Floats) -> tuple[Floats, Floats]:
    """Return what is claimed and what came true, (rows,) each.

    Two classes: the probability of the positive one, and whether it is. More: the probability of
    the class answered, and whether the answer is right (Guo et al. 2017).
    """
    probabilities = both_classes(scores)
    if probabilities.shape[1] == 2:
        return probabilities[:, 1], (y == 1).astype(np.float64)
    return probabilities.max(axis=1), (probabilities.argmax(axis=1) == y).astype(np.float64)


def bin_of(claimed: Floats, bins: int = BINS) -> Array:
    """Return the equal-width bin (0 .. bins - 1) of each probability."""
    return np.minimum((claimed * bins).astype(np.int64), bins - 1)


def _ece(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    claimed, came_true = confidence(y, scores)
    member = bin_of(claimed)[:, None] == np.arange(BINS)
    gaps = weights @ (member * (claimed - came_true)[:, None])
    return ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


log_loss = Metric(
    "log_loss",
    "Log loss",
    False,
    0.0,
    float("inf"),
    _log_loss,
    "Surprise at the truth, in nats; confident errors cost most.",
)
brier = Metric(
    "brier",
    "Brier score",
    False,
    0.0,
    2.0,
    _brier,
    "Mean squared error of the probabilities (summed over the classes where there are more "
    "than two).",
)
ece = Metric(
    "ece",
    "Calibration error",
    False,
    0.0,
    1.0,
    _ece,
    f"Expected calibration error: mean gap between probability and frequency, {BINS} equal-width "
    "bins.",
)
