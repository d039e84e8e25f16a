"""How well regions agree.

Truth is masks of class codes, (rows, height, width), scores as the task says; both may be object
arrays of maps that differ in size. The first class is background: Dice and IoU are means over the
others that occur in truth or answer. Pooled figures count the pixels of all rows together, so that
an image without the class is no special case.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lepta.core.errors import missing_extra
from lepta.tasks.metrics.base import Array, Floats, Metric, Rule, ratio
from lepta.tasks.segmentation import IGNORED


def answered(score: Array) -> Array:
    """Return the class code answered for each pixel of one row's scores."""
    if score.ndim == 2:
        return (score >= 0.5).astype(np.uint8)
    return np.asarray(score.argmax(axis=-1).astype(np.uint8))


def overlaps(y: Array, scores: Array) -> tuple[Floats, Floats]:
    """Return pixels by row, class and (shared, true, said), and those that count in each row."""
    first = scores[0] if len(scores) else np.zeros((1, 1))
    width = 2 if first.ndim == 2 else first.shape[-1]
    counts = np.zeros((len(y), width, 3))
    pixels = np.zeros(len(y))
    for row, (mask, score) in enumerate(zip(y, scores, strict=True)):
        counted = mask != IGNORED
        true, said = mask[counted].astype(np.int64), answered(score)[counted].astype(np.int64)
        counts[row, :, 0] = np.bincount(true[true == said], minlength=width)
        counts[row, :, 1] = np.bincount(true, minlength=width)
        counts[row, :, 2] = np.bincount(said, minlength=width)
        pixels[row] = counted.sum()
    return counts, pixels


def dice_of(counts: Floats) -> Floats:
    """Return Dice from (..., shared, true, said); NaN where truth and answer have none."""
    return ratio(2 * counts[..., 0], counts[..., 1] + counts[..., 2])


def iou_of(counts: Floats) -> Floats:
    """Return intersection over union; NaN where truth and answer have none."""
    return ratio(counts[..., 0], counts[..., 1] + counts[..., 2] - counts[..., 0])


def _pooled(part: Any) -> Rule:
    def rule(counts: Array, pixels: Floats, weights: Floats, threshold: float) -> Floats:
        each = part(np.einsum("kr,rcn->kcn", weights, counts[:, 1:]))
        return _mean(each)

    return rule


def _mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def _per_image(counts: Array, pixels: Floats, weights: Floats, threshold: float) -> Floats:
    each = _mean(dice_of(counts[:, 1:]))
    known = ~np.isnan(each)
    return ratio(weights @ np.where(known, each, 0.0), weights @ known.astype(np.float64))


def _accuracy(counts: Array, pixels: Floats, weights: Floats, threshold: float) -> Floats:
    return ratio(weights @ counts[:, :, 0].sum(axis=1), weights @ pixels)


def _distances(y: Array, scores: Array) -> tuple[Floats, Floats]:
    """Return the distance of each row, averaged over its classes; NaN where none is in both."""
    found = np.full(len(y), np.nan)
    for row, (mask, score) in enumerate(zip(y, scores, strict=True)):
        said = np.where(mask == IGNORED, 0, answered(score))
        classes = np.intersect1d(np.unique(mask), np.unique(said))
        parts = [_hausdorff(mask == k, said == k) for k in classes if 0 < k < IGNORED]
        if parts:
            found[row] = np.mean(parts)
    return found, np.empty(0)


def _hausdorff(one: Array, other: Array) -> float:
    """Return the 95th percentile of the distances of either border to the other, in pixels."""
    try:
        from scipy.ndimage import binary_erosion, distance_transform_edt
    except ModuleNotFoundError as error:
        raise missing_extra("scipy", "train", "Measuring distances between regions") from error
    first, second = one & ~binary_erosion(one), other & ~binary_erosion(other)
    there, back = distance_transform_edt(~second)[first], distance_transform_edt(~first)[second]
    return float(np.percentile(np.concatenate([there, back]), 95))


def _mean_distance(found: Array, rest: Floats, weights: Floats, threshold: float) -> Floats:
    known = ~np.isnan(found)
    return ratio(weights @ np.where(known, found, 0.0), weights @ known.astype(np.float64))


dice = Metric(
    "dice",
    "Dice",
    True,
    0.0,
    1.0,
    _pooled(dice_of),
    "Overlap of the regions answered with the true ones, over the pixels of all images together.",
    overlaps,
)
iou = Metric(
    "iou",
    "IoU",
    True,
    0.0,
    1.0,
    _pooled(iou_of),
    "Shared pixels over those in either region, over all images together.",
    overlaps,
)
dice_per_image = Metric(
    "dice_per_image",
    "Dice per image",
    True,
    0.0,
    1.0,
    _per_image,
    "Mean of the Dice of each image that has a region in truth or answer.",
    overlaps,
)
pixel_accuracy = Metric(
    "pixel_accuracy",
    "Pixel accuracy",
    True,
    0.0,
    1.0,
    _accuracy,
    "Share of the pixels answered right; background makes it high.",
    overlaps,
)
hausdorff95 = Metric(
    "hausdorff95",
    "Hausdorff distance, 95 %",
    False,
    0.0,
    float("inf"),
    _mean_distance,
    "How far borders lie apart, in pixels, where truth and answer both have the class.",
    _distances,
)
