"""Rows in the order in which boosters take queries, and what they minimise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.tasks.ranking import MOST

OBJECTIVE: dict[str, Any] = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [10],
    "label_gain": [2**grade - 1 for grade in range(MOST + 1)],
}
"""LambdaRank (Burges, "From RankNet to LambdaRank to LambdaMART", 2010), stopped by NDCG at 10."""


def by_query(
    x: NDArray[np.float32], y: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[Any, ...]:
    """Return x, grades, weights and the sizes of the queries, the rows of a query together.

    Args:
        x: prepared inputs (rows, columns).
        y: grade and query of each row, (rows, 2).
        weights: row weights, or None.
    """
    order = np.argsort(y[:, 1], kind="stable")
    sizes = np.unique(y[:, 1], return_counts=True)[1]
    return x[order], y[order, 0], None if weights is None else weights[order], sizes
