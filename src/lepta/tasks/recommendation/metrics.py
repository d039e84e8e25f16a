"""Metrics of lists: where in the order of the whole catalogue the item stands that was taken next.

One item is right in each row, so that the hit rate at k is the recall at k too. Every item of the
catalogue is ranked, not a sample of them (Krichene & Rendle, "On sampled metrics for item
recommendation", 2020). Ties count against the model.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lepta.tasks.metrics.base import Array, Floats, Metric, ratio

MISS = 2**31
"""Rank of an item that is not recommended at all."""
_CHUNK = 256


def ranks(y: Array, scores: Array) -> NDArray[np.int64]:
    """Return the rank of the true item of each row, from 1; :data:`MISS` where it is not offered.

    Args:
        y: codes of the items (rows,); negative where the catalogue lacks the item.
        scores: (rows, items), more is better; 0 where an item is not recommended.
    """
    found = np.empty(len(y), np.int64)
    for begin in range(0, len(y), _CHUNK):
        part, codes = scores[begin : begin + _CHUNK], y[begin : begin + _CHUNK]
        own = np.take_along_axis(part, np.maximum(codes, 0)[:, None], axis=1)
        places = np.count_nonzero(part >= own, axis=1)
        found[begin : begin + _CHUNK] = np.where((own[:, 0] > 0) & (codes >= 0), places, MISS)
    return found


def popularity_ranks(y: Array, scores: Array) -> NDArray[np.int64]:
    """Return the same where the most popular items are recommended, for the same rows.

    Items that must not be recommended, whose score is 0, are left out; the rest stand in the order
    of the catalogue.
    """
    offered = scores > 0
    before = np.arange(scores.shape[1]) <= y[:, None]
    found = np.count_nonzero(offered & before, axis=1)
    wrong = (y < 0) | ~np.take_along_axis(offered, np.maximum(y, 0)[:, None], axis=1)[:, 0]
    return np.where(wrong, MISS, found)


def _prepare(y: Array, scores: Array) -> tuple[Array, Array]:
    return y, ranks(y, scores)


def _popular(y: Array, scores: Array) -> tuple[Array, Array]:
    return y, popularity_ranks(y, scores)


def _mean(gain: Callable[[Array], Floats]) -> Callable[[Array, Floats, Floats, float], Floats]:
    def rule(y: Array, found: Floats, weights: Floats, threshold: float) -> Floats:
        return ratio(weights @ gain(found), weights.sum(axis=1))

    return rule


def _within(k: int) -> Callable[[Array], Floats]:
    return lambda found: (found <= k).astype(np.float64)


def _hit_rate(k: int) -> Metric:
    return Metric(
        f"hit_rate_{k}",
        f"Hit rate at {k}",
        True,
        0.0,
        1.0,
        _mean(_within(k)),
        f"Share of the rows whose next item is among the first {k} of the whole catalogue.",
        prepare=_prepare,
    )


hit_rate_1, hit_rate_10, hit_rate_50 = (_hit_rate(k) for k in (1, 10, 50))
ndcg_10 = Metric(
    "ndcg_10",
    "NDCG at 10",
    True,
    0.0,
    1.0,
    _mean(lambda found: np.where(found <= 10, 1.0 / np.log2(found + 1.0), 0.0)),
    "Normalised discounted cumulative gain: a hit counts 1 at the first place and less below.",
    prepare=_prepare,
)
mrr = Metric(
    "mrr",
    "Mean reciprocal rank",
    True,
    0.0,
    1.0,
    _mean(lambda found: 1.0 / found),
    "Mean of one over the place of the next item in the whole catalogue.",
    prepare=_prepare,
)
popularity_hit_rate_10 = Metric(
    "popularity_hit_rate_10",
    "Hit rate at 10 of the most popular",
    True,
    0.0,
    1.0,
    _mean(_within(10)),
    "What recommending the most popular items reaches on the same rows: the model must do better.",
    prepare=_popular,
)
