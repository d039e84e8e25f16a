"""From which probability on the positive class is answered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ConfigError
from lepta.tasks import Binary

TUNABLE = ("accuracy", "f1")
"""Metrics of decisions that have a best threshold inside; a recall alone is best at 0."""
_MOST = 200


def threshold_for_costs(miss_cost: float) -> float:
    """Return the threshold that costs least on average (Elkan 2001), for calibrated probabilities.

    Args:
        miss_cost: what it costs to miss a positive row, in costs of a false alarm; above 0.
    """
    if not miss_cost > 0:
        raise ConfigError(f"A cost is above 0, not {miss_cost}.")
    return 1.0 / (1.0 + miss_cost)


def best_threshold(
    task: Binary,
    metric: str,
    y: NDArray[np.int64],
    scores: NDArray[np.float32],
    weights: NDArray[np.float64] | None = None,
) -> float:
    """Return the threshold at which ``metric`` is best; of equals, the middle one.

    Args:
        task: two classes.
        metric: one of :data:`TUNABLE`.
        y: class codes of rows that the model did not learn from, (rows,).
        scores: their probabilities, (rows, 2).
        weights: of the rows.
    """
    rule = task.metric(metric)
    levels = np.unique(np.append(scores[:, 1].astype(np.float64), 0.5))
    if len(levels) > _MOST:
        levels = np.quantile(levels, np.linspace(0, 1, _MOST))
    cuts = (levels[1:] + levels[:-1]) / 2
    if not len(cuts):
        return task.threshold
    values = np.array([rule(y, scores, weights, threshold=cut) or 0.0 for cut in cuts])
    best = np.flatnonzero(values >= values.max() - 1e-12)
    return float(np.clip(cuts[best[len(best) // 2]], 0.0, 1.0))
