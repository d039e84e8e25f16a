"""What an interval is."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Interval:
    """Bounds of a confidence interval and the name of the method."""

    low: float
    high: float
    method: str


def quantile_of(level: float) -> float:
    """Return the normal quantile z of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + level / 2.0)


def spread_out(groups: NDArray[np.int64] | None, rows: int) -> NDArray[np.int64] | None:
    """Return ``groups``, or None where each row is a group of its own."""
    if groups is None or len(np.unique(groups)) == rows:
        return None
    return groups
