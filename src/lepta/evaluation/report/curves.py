"""The curves that a report draws, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepta.evaluation.intervals import resampled, wilson
from lepta.tasks.metrics.base import Array, Floats
from lepta.tasks.metrics.probabilities import bin_of

GRID = np.linspace(0.0, 1.0, 101)
_POINTS = 400
_BAND_RESAMPLES = 200
_BAND_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class Sweep:
    """Shares at every threshold, from the strictest on; (points,) each.

    The first point answers nobody positive, the last one everybody.
    """

    threshold: Floats
    recall: Floats
    false_alarm: Floats
    precision: Floats

    def thinned(self) -> Sweep:
        """Return at most 400 points, first and last kept."""
        count = len(self.threshold)
        if count <= _POINTS:
            return self
        keep = np.unique(np.linspace(0, count - 1, _POINTS).round().astype(int))
        return Sweep(
            self.threshold[keep], self.recall[keep], self.false_alarm[keep], self.precision[keep]
        )


def sweep(positive: NDArray[np.bool_], score: Floats, weights: Floats | None = None) -> Sweep:
    """Return the shares at every distinct score; both classes must occur."""
    mass = np.ones(len(score)) if weights is None else weights
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    hits = np.cumsum(np.where(positive, mass, 0.0)[order])[ends]
    alarms = np.cumsum(np.where(positive, 0.0, mass)[order])[ends]
    said = hits + alarms
    return Sweep(
        np.r_[np.inf, ranked[ends]],
        np.r_[0.0, hits / hits[-1]],
        np.r_[0.0, alarms / alarms[-1]],
        np.r_[np.nan, np.where(said > 0, hits / np.where(said > 0, said, 1.0), np.nan)],
    )


def roc_band(
    positive: NDArray[np.bool_],
    score: Floats,
    groups: NDArray[np.int64] | None,
    level: float,
    seed: int,
) -> tuple[Floats, Floats] | None:
    """Return the pointwise band of the recall over :data:`GRID`, by a (clustered) bootstrap."""
    if len(score) > _BAND_ROWS:
        return None
    unit = np.arange(len(score)) if groups is None else np.unique(groups, return_inverse=True)[1]
    drawn = []
    for chunk in resampled(unit, int(unit.max()) + 1, _BAND_RESAMPLES, seed):
        for counts in chunk:
            if counts[positive].any() and counts[~positive].any():
                curve = sweep(positive, score, counts)
                drawn.append(np.interp(GRID, curve.false_alarm, curve.recall))
    if len(drawn) < _BAND_RESAMPLES / 2:
        return None
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return low, high


@dataclass(frozen=True, eq=False)
class Reliability:
    """What was claimed and what came true, for each bin that has rows; (bins,) each."""

    claimed: Floats
    came_true: Floats
    low: Floats
    high: Floats
    rows: NDArray[np.int64]


def reliability(claimed: Floats, came_true: Floats, level: float, bins: int = 10) -> Reliability:
    """Return means over equal-width bins, with Wilson intervals of the frequency."""
    member = bin_of(claimed, bins)
    rows = np.bincount(member, minlength=bins)
    used = np.flatnonzero(rows)
    sums = np.bincount(member, came_true, bins)[used]
    bounds = [wilson(hits, total, level) for hits, total in zip(sums, rows[used], strict=True)]
    return Reliability(
        np.bincount(member, claimed, bins)[used] / rows[used],
        sums / rows[used],
        np.array([found.low if found else 0.0 for found in bounds]),
        np.array([found.high if found else 1.0 for found in bounds]),
        rows[used],
    )


def at_threshold(table: Array) -> tuple[float, float]:
    """Return (false alarms, recall) of a 2 x 2 table of counts (true, answered)."""
    (tn, fp), (fn, tp) = table.astype(float)
    return fp / max(tn + fp, 1.0), tp / max(tp + fn, 1.0)
