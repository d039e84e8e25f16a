"""Summaries of values from which no single value can be read back.

Labels are counted only where the bundle knows them, numbers fall into bins that stand before they
are seen, and whatever fewer than ``least`` rows share is pooled until it is not (cell suppression
with complementary cells; Willenborg and de Waal, "Elements of Statistical Disclosure Control",
2001).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_POWERS = np.geomspace(1e-6, 1e9, 151)
SKETCH: NDArray[np.float64] = np.concatenate([-_POWERS[::-1], [0.0], _POWERS])
"""Bins where no profile tells better ones: ten to each power of ten (as in DDSketch; Masson et al.
2019), so that a quantile is known to about 12 %."""


class Summary(Protocol):
    """Gathers values and tells what they are like."""

    def add(self, values: Any) -> None:
        """Take some values more."""

    def tell(self, least: int) -> dict[str, Any]:
        """Return what they are like; nothing is told of fewer than ``least`` rows."""


class Numbers:
    """Count, mean, standard deviation and histogram of numbers.

    Args:
        edges: of the bins, rising; what lies outside falls into a bin below or above.
    """

    def __init__(self, edges: Sequence[float] | NDArray[np.float64] = SKETCH) -> None:
        self._edges = np.unique(np.asarray(edges, np.float64))
        self._counts = np.zeros(len(self._edges) + 1, np.int64)
        self._missing = self._infinite = 0
        self._n, self._mean, self._square = 0, 0.0, 0.0

    def add(self, values: Any) -> None:
        """Take numbers; not-a-numbers count as missing."""
        given = np.asarray(values, np.float64).reshape(-1)
        finite = given[np.isfinite(given)]
        self._missing += int(np.isnan(given).sum())
        self._infinite += int(np.isinf(given).sum())
        if not finite.size:
            return
        places = np.searchsorted(self._edges, finite, side="right")
        last = len(self._edges)
        places[finite == self._edges[-1]] = last - 1  # as numpy.histogram closes its last bin
        self._counts += np.bincount(places, minlength=last + 1)
        self._merge(finite)

    def _merge(self, finite: NDArray[np.float64]) -> None:
        """Add to mean and variance (Chan, Golub and LeVeque 1979)."""
        with np.errstate(over="ignore", invalid="ignore"):
            count, mean = finite.size, float(finite.mean())
            square = float(((finite - mean) ** 2).sum())
            total, away = self._n + count, mean - self._mean
            self._mean += away * count / total
            self._square += square + away * away * self._n * count / total
        self._n = total

    def tell(self, least: int) -> dict[str, Any]:
        """Return count, missing, infinite; and mean, std and histogram of enough rows.

        ``histogram`` has one count more than edges: the first bin has no lower end, the last no
        upper one. Each holds 0 or at least ``least`` rows.
        """
        told: dict[str, Any] = {
            "count": self._n,
            "missing": self._missing,
            "infinite": self._infinite,
        }
        if self._n < least or not self._n:
            return told
        told |= {
            "mean": _finite(self._mean),
            "std": _finite(math.sqrt(max(0.0, self._square) / self._n)),
        }
        edges, counts = coarsened(self._edges, self._counts, least)
        return told | {"histogram": {"edges": edges, "counts": counts}}


class Labels:
    """How often each known label was seen.

    Args:
        known: labels that may be named; any other is counted as unseen, and never told.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._counts = dict.fromkeys(known, 0)
        self._missing = self._unseen = 0

    def add(self, values: Any) -> None:
        """Take labels; None and "" are missing."""
        for value in values:
            if value is None or value == "":
                self._missing += 1
            elif value in self._counts:
                self._counts[value] += 1
            else:
                self._unseen += 1

    def tell(self, least: int) -> dict[str, Any]:
        """Return count, missing, unseen, the counts of common labels, and the rest in one."""
        counts, pooled = suppressed(self._counts, least)
        return {
            "count": sum(self._counts.values()) + self._unseen,
            "missing": self._missing,
            "unseen": self._unseen,
            "counts": counts,
            "pooled": pooled,
        }


def coarsened(
    edges: NDArray[np.float64], counts: NDArray[np.int64], least: int
) -> tuple[list[float], list[int]]:
    """Join neighbouring bins until each holds no row or at least ``least``.

    Args:
        edges: n rising edges.
        counts: n + 1 counts; the outer bins have no end.
        least: fewest rows that a bin may tell.

    Returns:
        A part of the edges, and one count more.
    """
    told: list[int] = []
    kept: list[float] = []
    held = 0
    for place, count in enumerate(counts.tolist()):
        held += count
        if 0 < held < least:
            continue
        if told and told[-1] == held == 0:
            kept[-1] = _edge(edges, place)
        else:
            told.append(held)
            kept.append(_edge(edges, place))
        held = 0
    while held and held < least and told:
        held += told.pop()
        kept.pop()
    if held:
        told.append(held)
        kept.append(math.inf)
    return kept[:-1], told


def _edge(edges: NDArray[np.float64], place: int) -> float:
    """Return the upper end of a bin."""
    return float(edges[place]) if place < len(edges) else math.inf


def suppressed(counts: dict[str, int], least: int) -> tuple[dict[str, int], int]:
    """Return the counts of at least ``least`` rows, and the sum of the others.

    Where that sum would itself tell of fewer rows, as of one label alone, the smallest of the
    counts are pooled too.
    """
    ordered = sorted(((n, label) for label, n in counts.items() if n), reverse=True)
    pooled = hidden = 0
    while ordered and (ordered[-1][0] < least or (pooled and (pooled < least or hidden < 2))):
        pooled += ordered.pop()[0]
        hidden += 1
    return {label: n for n, label in sorted(ordered, key=lambda pair: pair[1])}, pooled


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
