"""Which boxes answered are right: the matching of COCO (Lin et al. 2014, arXiv:1405.0312).

Within an image and a class, boxes are taken by falling score, and each takes the true box that it
overlaps most among those not yet taken, if the overlap reaches a limit. Because of that order, the
boxes above a score are matched as if there were no others. The numbers are those of pycocotools'
``COCOeval`` with areas of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.tasks.detection.boxes import overlap

Floats = NDArray[np.float64]
IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Overlaps from which COCO counts a box as found: 0.50, 0.55, ... 0.95."""
MOST = 100
"""Boxes of a class that count in one image."""


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """The boxes answered of one class, by falling score.

    Attributes:
        code: code of the class.
        scores: (boxes,).
        rows: row that each is of, (boxes,).
        hits: whether each is right, (ious, boxes).
        truths: true boxes of each row, (rows,).
    """

    code: int
    scores: Floats
    rows: NDArray[np.int64]
    hits: NDArray[np.bool_]
    truths: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Matches:
    """All boxes answered, class by class, of the classes that occur in truth or answers."""

    ious: tuple[float, ...]
    count: int
    classes: tuple[ClassMatches, ...]

    def tallies(self, threshold: float, iou: int = 0) -> Floats:
        """Return boxes that are (right, answered, true) in each row, (rows, 3)."""
        tally = np.zeros((self.count, 3))
        for each in self.classes:
            said = each.scores >= threshold
            for column, chosen in ((0, said & each.hits[iou]), (1, said)):
                tally[:, column] += np.bincount(each.rows[chosen], minlength=self.count)
            tally[:, 2] += each.truths
        return tally

    def row_errors(self, threshold: float) -> Floats:
        """Return 1 - F1 of each row, (rows,); 0 where it has no box in truth and answer."""
        right, said, true = self.tallies(threshold).T
        total = said + true
        return np.where(total > 0, 1 - 2 * right / np.where(total > 0, total, 1), 0.0)


def match(
    y: Sequence[Any] | NDArray[Any], scores: NDArray[Any], ious: tuple[float, ...] = IOUS
) -> Matches:
    """Match boxes answered with true ones.

    Args:
        y: of each row the true boxes, (boxes, 5): corners and class code.
        scores: (rows, boxes, 6): corners, score, class code; boxes of score 0 are none.
        ious: overlaps from which a box counts as found, rising.
    """
    codes = {int(code) for truth in y for code in np.unique(truth[:, 4])}
    codes |= {int(code) for code in np.unique(scores[scores[..., 4] > 0][:, 5])}
    return Matches(ious, len(y), tuple(_of_class(code, y, scores, ious) for code in sorted(codes)))


def _of_class(
    code: int, y: Sequence[Any] | NDArray[Any], scores: NDArray[Any], ious: tuple[float, ...]
) -> ClassMatches:
    truths = np.array([np.count_nonzero(truth[:, 4] == code) for truth in y], np.int64)
    held: list[tuple[Floats, NDArray[np.bool_], int]] = []
    for row, (truth, said) in enumerate(zip(y, scores, strict=True)):
        mine = said[(said[:, 4] > 0) & (said[:, 5] == code)]
        if len(mine):
            mine = mine[np.argsort(-mine[:, 4], kind="stable")[:MOST]]
            hits = _hits(mine, truth[truth[:, 4] == code], ious)
            held.append((mine[:, 4].astype(np.float64), hits, row))
    if not held:
        return ClassMatches(code, np.empty(0), np.empty(0, np.int64),
                            np.empty((len(ious), 0), bool), truths)  # fmt: skip
    points = np.concatenate([part[0] for part in held])
    order = np.argsort(-points, kind="stable")
    rows = np.concatenate([np.full(len(part[0]), part[2], np.int64) for part in held])
    hits = np.concatenate([part[1] for part in held], axis=1)
    return ClassMatches(code, points[order], rows[order], hits[:, order], truths)


def _hits(said: NDArray[Any], true: NDArray[Any], ious: tuple[float, ...]) -> NDArray[np.bool_]:
    """Return which boxes, by falling score, find a true box at each limit, (ious, boxes)."""
    hits = np.zeros((len(ious), len(said)), bool)
    if not len(true):
        return hits
    limits = np.minimum(np.array(ious), 1 - 1e-10)
    close = overlap(said, true)
    free = np.ones((len(ious), len(true)), bool)
    every = np.arange(len(ious))
    for place in np.flatnonzero(close.max(axis=1) >= limits[0]):
        left = np.where(free, close[place], -1.0)
        best = left.shape[1] - 1 - left[:, ::-1].argmax(axis=1)  # the last one of equal overlap
        found = left[every, best] >= limits
        hits[found, place] = True
        free[every[found], best[found]] = False
    return hits


def best_threshold(matches: Matches, weights: Floats | None = None) -> float | None:
    """Return the score from which boxes give the best F1 at the first limit; None if none hits."""
    mass = np.ones(matches.count) if weights is None else weights
    classes = matches.classes
    if not any(each.hits[0].any() for each in classes):
        return None
    points = np.concatenate([each.scores for each in classes])
    order = np.argsort(-points, kind="stable")
    points = points[order]
    own = np.concatenate([mass[each.rows] for each in classes])[order]
    right = np.concatenate([each.hits[0] for each in classes])[order]
    total = sum(float(mass @ each.truths) for each in classes)
    f1 = 2 * np.cumsum(own * right) / (np.cumsum(own) + total)
    last = np.append(points[1:] < points[:-1], True)  # boxes of equal score go together
    best = int(np.where(last, f1, -1.0).argmax())
    below = float(points[best + 1]) if best + 1 < len(points) else 0.0
    return round((float(points[best]) + below) / 2, 6)
