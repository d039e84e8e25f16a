"""The plots of a segmentation: the worst images, and how well regions agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.tasks.drawing import (
    ACCENT,
    INK,
    MUTED,
    SECOND,
    Plot,
    grey_picture,
    legend,
    new_axes,
    new_figure,
    picture_axes,
    plain,
)
from lepta.tasks.segmentation.metrics import dice_of, iou_of, overlaps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 6


def _worst(evaluation: Any) -> Figure:
    rows = evaluation.worst(_SHOWN)
    figure = new_figure(7.2, 5.2)
    for place, row in enumerate(rows):
        truth, said = evaluation.y[row], evaluation.task.codes(evaluation.scores[row])
        picture = None if evaluation.picture is None else evaluation.picture(int(row))
        error = evaluation.task.row_errors(evaluation.y[[row]], evaluation.scores[[row]])[0]
        axes = picture_axes(figure, (2, 3, place + 1), f"Dice {1 - error:.2f}")
        axes.imshow(grey_picture(picture, truth.shape), cmap="gray", interpolation="nearest")
        _outline(axes, truth, ACCENT)
        _outline(axes, said, SECOND)
    return figure


def _outline(axes: Any, codes: NDArray[Any], colour: str) -> None:
    """Draw the borders of all regions but the background."""
    region = ((codes > 0) & (codes < 255)).astype(float)
    if 0 < region.mean() < 1:
        axes.contour(region, levels=[0.5], colors=[colour], linewidths=1.1)


def _classes(evaluation: Any) -> Figure:
    counts, _ = overlaps(evaluation.y, evaluation.scores)
    weights = np.ones(len(counts)) if evaluation.weights is None else evaluation.weights
    total = np.einsum("r,rcn->cn", weights, counts)[1:]
    names = [plain(name, 16) for name in evaluation.classes[1:]]
    figure = new_figure(4.6, max(2.4, 1.6 + 0.45 * len(names)))
    axes = new_axes(figure, "overlap with the truth", "")
    places = np.arange(len(names))
    for shift, values, colour, label in (
        (-0.2, dice_of(total), ACCENT, "Dice"),
        (0.2, iou_of(total), MUTED, "IoU"),
    ):
        known = np.nan_to_num(values)
        axes.barh(places + shift, known, height=0.36, color=colour, label=label)
        for place, value in zip(places, values, strict=True):
            text = "absent" if np.isnan(value) else f"{value:.2f}"
            axes.text(np.nan_to_num(value) + 0.015, place + shift, text, va="center",
                      color=INK, fontsize=8)  # fmt: skip
    axes.set_yticks(places, labels=names)
    axes.set_xlim(0, 1.12)
    axes.invert_yaxis()
    legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def _images(evaluation: Any) -> Figure:
    """Draw how Dice is spread over the images that have a region in truth or answer."""
    counts, _ = overlaps(evaluation.y, evaluation.scores)
    total = counts[:, 1:].sum(axis=1)
    values = dice_of(total)[(total[:, 1] + total[:, 2]) > 0]
    figure = new_figure()
    axes = new_axes(figure, "Dice of an image", "images")
    axes.hist(values, bins=20, range=(0, 1), color=ACCENT, alpha=0.6, rwidth=0.9)
    if len(values):
        middle = float(np.median(values))
        axes.axvline(middle, color=SECOND, linewidth=1.4, label=f"median {middle:.2f}")
        legend(axes, loc="upper left")
    return figure


PLOTS = (
    Plot(
        "worst",
        "The worst images",
        "Truth in blue, answer in orange. Look whether it is the answer that is wrong, or the "
        "mask.",
        _worst,
    ),
    Plot("per_class", "Class by class", "Over the pixels of all images together.", _classes),
    Plot(
        "per_image",
        "Image by image",
        "Images without a region in truth and answer are left out; 0 is a region missed or made "
        "up.",
        _images,
    ),
)
