"""Geometry of boxes: (n, 4 or more), x0, y0, x1, y1 first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FAINT = 0.05
"""Score up to which a box may come or go between two computations: peaks of noise, where what
lies side by side is equal but for rounding."""


def areas(boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the area of each box, (n,)."""
    sides = boxes[:, 2:4].astype(np.float64) - boxes[:, :2].astype(np.float64)
    return np.asarray(sides.clip(0).prod(axis=1))


def overlap(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Return intersection over union of each box with each other, (n, m)."""
    a, b = one[:, None, :4].astype(np.float64), other[None, :, :4].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = sides.clip(0).prod(axis=-1)
    union = areas(one)[:, None] + areas(other)[None, :] - shared
    return np.asarray(shared / np.where(union > 0, union, 1.0))


def difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return how far the scored boxes (n, 6) of one image differ, computed twice.

    Boxes of the same class are paired by overlap, whatever their order. A pair differs by its
    scores, or by the score times the area not shared; a box without a partner by its score, less
    what a box needs to be among those kept at all (:data:`FAINT`, or the last of a full list).
    """
    if one.shape != other.shape:
        return 1.0
    pairs = _pairs(one, other)
    worst = 0.0
    for left, right, shared in pairs:
        scores = float(one[left, 4]), float(other[right, 4])
        moved = (max(scores) - FAINT) * (1.0 - shared)
        worst = max(worst, abs(scores[0] - scores[1]), moved)
    alone = (
        (one, other, {left for left, _, _ in pairs}),
        (other, one, {right for _, right, _ in pairs}),
    )
    for mine, theirs, paired in alone:
        least = max(FAINT, float(theirs[:, 4].min(initial=1.0)))
        lone = [float(box[4]) - least for place, box in enumerate(mine) if place not in paired]
        worst = max([worst, *lone])
    return worst


def _pairs(one: NDArray[Any], other: NDArray[Any]) -> list[tuple[int, int, float]]:
    """Return (place, place, overlap) of boxes of one class, the closest first, each once."""
    close = overlap(one, other)
    known = (one[:, None, 4] > 0) & (other[None, :, 4] > 0) & (one[:, None, 5] == other[None, :, 5])
    close[~known] = 0.0
    apart = np.abs(one[:, None, 4] - other[None, :, 4])
    lefts, rights = np.nonzero(close >= 0.5)
    order = np.lexsort((apart[lefts, rights], -np.round(close[lefts, rights], 3)))
    pairs, taken = [], (set[int](), set[int]())
    for left, right in zip(lefts[order].tolist(), rights[order].tolist(), strict=True):
        if left not in taken[0] and right not in taken[1]:
            taken[0].add(left)
            taken[1].add(right)
            pairs.append((left, right, float(close[left, right])))
    return pairs
