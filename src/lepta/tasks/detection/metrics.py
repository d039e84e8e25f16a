"""How well boxes are found: average precision as COCO measures it, and precision and recall.

Average precision is the mean of the best precision at each of 101 recalls (0, 0.01, ... 1), then
over the classes that occur in the truth. What is costly, the matching of boxes, is done once; a
weighting of the images only counts what was matched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lepta.tasks.detection.matching import IOUS, ClassMatches, Matches, match
from lepta.tasks.metrics.base import Array, Floats, Metric, Rule, ratio

RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, eq=False)
class _Curve:
    """The right boxes of one class at one limit, by falling score, (hits,) each."""

    rows: Array
    """Row of each right box."""
    above: Array
    """Wrong boxes of each row that stand above it, (rows, hits)."""

    @classmethod
    def of(cls, each: ClassMatches, iou: int) -> _Curve:
        hits = each.hits[iou]
        place = np.cumsum(hits)[~hits]  # how many right boxes stand above a wrong one
        above = np.zeros((len(each.truths), int(hits.sum()) + 1), np.float64)
        np.add.at(above, (each.rows[~hits], place), 1.0)
        return cls(each.rows[hits], np.cumsum(above, axis=1)[:, :-1])

    def points(self, weights: Floats, truths: Floats) -> tuple[Floats, Floats]:
        """Return recall and precision at each right box, (k, hits) each."""
        right = np.cumsum(weights[:, self.rows], axis=1)
        said = right + weights @ self.above
        precision = np.where(said > 0, right / np.where(said > 0, said, 1.0), 0.0)
        return right / np.maximum(truths, 1e-300)[:, None], precision


def average_precision(recall: Floats, precision: Floats) -> Floats:
    """Return the mean over 101 recalls of the best precision at that recall or more, (k,).

    Args:
        recall: (k, hits), rising.
        precision: (k, hits).
    """
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.searchsorted(RECALLS, recall, side="right")
    gained = np.diff(reached, axis=1, prepend=0)
    return np.asarray((best * gained).sum(axis=1) / len(RECALLS))


def prepared(y: Array, scores: Array) -> tuple[Matches, None]:
    """Match the boxes; see :func:`lepta.tasks.detection.matching.match`."""
    return match(y, scores), None


def recall_and_precision(each: ClassMatches, iou: int, weights: Floats) -> tuple[Floats, Floats]:
    """Return recall and precision of a class at each right box, by falling score, (k, hits)."""
    return _Curve.of(each, iou).points(weights, weights @ each.truths.astype(np.float64))


def class_precision(matches: Matches, iou: int, weights: Floats) -> dict[int, Floats]:
    """Return the average precision of each class, (k,) each; NaN where none is true.

    Args:
        matches: the boxes.
        iou: which of the limits.
        weights: (k, rows).
    """
    found = {}
    for each in matches.classes:
        value = average_precision(*recall_and_precision(each, iou, weights))
        found[each.code] = np.where(weights @ each.truths > 0, value, np.nan)
    return found


def _mean(values: list[Floats]) -> Floats:
    each = np.stack(values) if values else np.full((1, 1), np.nan)
    known = ~np.isnan(each)
    return ratio(np.where(known, each, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def _precision(ious: tuple[float, ...]) -> Rule:
    limits = [IOUS.index(iou) for iou in ious]

    def rule(matches: Any, rest: Any, weights: Floats, threshold: float) -> Floats:
        if not matches.classes:
            return np.full(len(weights), np.nan)
        each = [_mean(list(class_precision(matches, k, weights).values())) for k in limits]
        return np.asarray(np.mean(each, axis=0))

    return rule


def _recall(matches: Any, rest: Any, weights: Floats, threshold: float) -> Floats:
    found = []
    for each in matches.classes:
        right = np.zeros((matches.count, len(each.hits)))
        for k, hits in enumerate(each.hits):
            right[:, k] = np.bincount(each.rows[hits], minlength=matches.count)
        truths = weights @ each.truths.astype(np.float64)
        found.append(ratio((weights @ right).mean(axis=1), truths))
    return _mean(found) if found else np.full(len(weights), np.nan)


def _counted(above: int, below: tuple[int, ...]) -> Rule:
    """Return the rule of a ratio of (right, answered, true) boxes over all images together."""

    def rule(matches: Any, rest: Any, weights: Floats, threshold: float) -> Floats:
        tally = weights @ matches.tallies(threshold)
        return ratio(len(below) * tally[:, above], sum(tally[:, k] for k in below))

    return rule


map50 = Metric(
    "map50",
    "mAP at IoU 0.5",
    True,
    0.0,
    1.0,
    _precision((0.5,)),
    "Precision averaged over recalls and classes; half an overlap makes a box right.",
    prepared,
)
map_coco = Metric(
    "map",
    "mAP, IoU 0.5 to 0.95",
    True,
    0.0,
    1.0,
    _precision(IOUS),
    "Averaged over ten limits of overlap too, as COCO does, so that it counts how exact boxes are.",
    prepared,
)
map75 = Metric(
    "map75",
    "mAP at IoU 0.75",
    True,
    0.0,
    1.0,
    _precision((0.75,)),
    "As at IoU 0.5, but only three quarters of an overlap make a box right.",
    prepared,
)
recall100 = Metric(
    "recall100",
    "Average recall, 100 boxes",
    True,
    0.0,
    1.0,
    _recall,
    "Share of the true boxes among the best 100 of an image, averaged over limits and classes.",
    prepared,
)
box_precision = Metric(
    "box_precision",
    "Precision of boxes",
    True,
    0.0,
    1.0,
    _counted(0, (1,)),
    "Of the boxes answered, the share that is right (IoU 0.5 or more).",
    prepared,
)
box_recall = Metric(
    "box_recall",
    "Recall of boxes",
    True,
    0.0,
    1.0,
    _counted(0, (2,)),
    "Of the true boxes, the share that was found (IoU 0.5 or more).",
    prepared,
)
box_f1 = Metric(
    "box_f1",
    "F1 of boxes",
    True,
    0.0,
    1.0,
    _counted(0, (1, 2)),
    "Harmonic mean of precision and recall of boxes.",
    prepared,
)
