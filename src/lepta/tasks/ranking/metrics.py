"""Metrics of order within queries: each query counts the same, however many rows it has.

Queries without a relevant row are left out: no order of them is better than another. Ties count
against the model: of equal scores, the less relevant rows come first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.tasks.metrics.base import Array, Floats, Metric, Prepare, ratio


@dataclass(frozen=True)
class Ordered:
    """Rows by query, then in the order that the model gives, then in the best order.

    Attributes:
        rows: which row stands at each place, (rows,).
        starts: place at which each query begins, (queries,).
        places: place within its query, from 0, (rows,).
        grades: grades in the model's order, (rows,).
        best: the same in the best order.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    places: NDArray[np.int64]
    grades: Floats
    best: Floats

    @classmethod
    def of(cls, y: Array, scores: Array) -> Ordered:
        """Order rows with truth (rows, 2), grade and query, by scores (rows, 1)."""
        grades, queries = y[:, 0], y[:, 1]
        rows = np.lexsort((grades, -scores[:, 0], queries))
        starts = np.flatnonzero(np.diff(queries[rows], prepend=-1.0))
        sizes = np.diff(np.append(starts, len(rows)))
        places = np.arange(len(rows)) - np.repeat(starts, sizes)
        best = grades[np.lexsort((-grades, queries))]
        return cls(rows, starts, places, grades[rows], best)

    def sums(self, values: Floats) -> Floats:
        """Return the sum over each query of values in the model's order, (..., queries)."""
        return np.asarray(np.add.reduceat(values, self.starts, axis=-1))


def ndcg(ordered: Ordered, k: int | None = None) -> Floats:
    """Return the NDCG of each query, NaN where nothing is relevant.

    A row gains 2 ** grade - 1, divided by log2(place + 1), of the first ``k`` places (Järvelin &
    Kekäläinen 2002; with this gain, Burges et al. 2005).
    """
    discount = 1.0 / np.log2(ordered.places + 2.0)
    if k is not None:
        discount = np.where(ordered.places < k, discount, 0.0)
    found, most = (
        ordered.sums((2.0**grades - 1.0) * discount) for grades in (ordered.grades, ordered.best)
    )
    return ratio(found, most)


def average_precision(ordered: Ordered) -> Floats:
    """Return the average precision of each query; every grade above 0 is relevant."""
    relevant = (ordered.grades > 0).astype(np.float64)
    counted = np.cumsum(relevant)
    sizes = np.diff(np.append(ordered.starts, len(relevant)))
    before = np.repeat((counted - relevant)[ordered.starts], sizes)
    precision = (counted - before) / (ordered.places + 1.0)
    return ratio(ordered.sums(precision * relevant), ordered.sums(relevant))


def reciprocal_rank(ordered: Ordered) -> Floats:
    """Return one over the place of the first relevant row of each query."""
    reciprocal = np.where(ordered.grades > 0, 1.0 / (ordered.places + 1.0), 0.0)
    best = np.maximum.reduceat(reciprocal, ordered.starts)
    return np.where(best > 0, best, np.nan)


def _prepare(values: Callable[[Ordered], Floats]) -> Prepare:
    def prepare(y: Array, scores: Array) -> tuple[Any, Any]:
        ordered = Ordered.of(y, scores)
        return ordered, values(ordered)

    return prepare


def _mean(ordered: Any, values: Floats, weights: Floats, threshold: float) -> Floats:
    """A query weighs as its rows do on average."""
    sizes = ordered.sums(np.ones(len(ordered.rows)))
    mass = ordered.sums(weights[:, ordered.rows]) / sizes
    known = np.isfinite(values)
    return ratio(mass[:, known] @ values[known], mass[:, known].sum(axis=1))


def _metric(name: str, label: str, values: Callable[[Ordered], Floats], text: str) -> Metric:
    return Metric(name, label, True, 0.0, 1.0, _mean, text, prepare=_prepare(values))


query_ndcg_10 = _metric(
    "query_ndcg_10",
    "NDCG at 10",
    lambda ordered: ndcg(ordered, 10),
    "Normalised discounted cumulative gain of the first 10 rows, mean over the queries: 1 is the "
    "best order.",
)
query_ndcg = _metric("query_ndcg", "NDCG", ndcg, "The same over all rows of each query.")
query_map = _metric(
    "query_map",
    "Mean average precision",
    average_precision,
    "Precision at each relevant row, averaged over these and then over the queries.",
)
query_mrr = _metric(
    "query_mrr",
    "Mean reciprocal rank",
    reciprocal_rank,
    "Mean over the queries of one over the place of the first relevant row.",
)
