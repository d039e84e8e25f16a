"""The plots of a detection: the worst images, precision against recall, and class by class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.tasks.detection.matching import IOUS, match
from lepta.tasks.detection.metrics import class_precision, recall_and_precision
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
    unit_square,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = 6
_CURVES = 8
_COLOURS = (ACCENT, SECOND, "#5a8f3d", "#8b5fbf", "#b8860b", "#c2477f", "#2f8f83", "#7a5c3e")


def _weights(evaluation: Any) -> NDArray[np.float64]:
    """Return the weight of each row, (1, rows)."""
    weights = evaluation.weights
    return (np.ones(len(evaluation.y)) if weights is None else np.asarray(weights))[None]


def _worst(evaluation: Any) -> Figure:
    rows = evaluation.worst(_SHOWN)
    errors = evaluation.task.row_errors(evaluation.y[rows], evaluation.scores[rows])
    answers = evaluation.task.answered(evaluation.scores[rows])
    figure = new_figure(7.2, 5.4)
    for place, row in enumerate(rows):
        truth, said = evaluation.y[row], answers[place]
        picture = None if evaluation.picture is None else evaluation.picture(int(row))
        both = np.concatenate([truth[:, :4], said[:, :4], np.ones((1, 4))])
        blank = (int(np.ceil(both[:, 3].max())), int(np.ceil(both[:, 2].max())))
        axes = picture_axes(figure, (2, 3, place + 1), f"F1 {1 - errors[place]:.2f}")
        axes.imshow(grey_picture(picture, blank), cmap="gray", interpolation="nearest")
        for box in truth:
            _outline(axes, box, ACCENT, evaluation.classes[int(box[4])], above=True)
        for box in said:
            label = f"{evaluation.classes[int(box[5])]} {box[4]:.2f}"
            _outline(axes, box, SECOND, label, above=False)
    return figure


def _outline(axes: Axes, box: NDArray[Any], colour: str, label: str, *, above: bool) -> None:
    """Draw a box with its class at its upper (truth) or lower (answer) side, inside."""
    from matplotlib.patches import Rectangle

    x0, y0, x1, y1 = (float(side) - 0.5 for side in box[:4])
    axes.add_patch(
        Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.3)
    )
    axes.text(
        x0,
        y0 if above else y1,
        plain(label, 20),
        color="#ffffff",
        fontsize=5,
        va="top" if above else "bottom",
        clip_on=True,
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
    )


def _curves(evaluation: Any) -> Figure:
    """Draw precision against recall of each class at an IoU of 0.5; the classes best filled."""
    matches = match(evaluation.y, evaluation.scores, ious=(0.5,))
    weights = _weights(evaluation)
    known = [each for each in matches.classes if each.truths.any()]
    known = sorted(known, key=lambda each: (-int(each.truths.sum()), each.code))[:_CURVES]
    figure = new_figure(4.8, 4.2)
    axes = new_axes(figure, "recall", "precision")
    for colour, each in zip(_COLOURS, sorted(known, key=lambda each: each.code), strict=False):
        recall, precision = (part[0] for part in recall_and_precision(each, 0, weights))
        name = plain(evaluation.classes[each.code], 20)
        begin = precision[:1] if len(precision) else np.zeros(1)
        axes.plot(np.r_[0.0, recall], np.r_[begin, precision], color=colour, label=name,
                  linewidth=1.6)  # fmt: skip
    unit_square(axes)
    legend(axes, loc="lower left")
    return figure


def _classes(evaluation: Any) -> Figure:
    matches, weights = match(evaluation.y, evaluation.scores), _weights(evaluation)
    half = class_precision(matches, 0, weights)
    every = [class_precision(matches, k, weights) for k in range(len(IOUS))]
    counts = {each.code: int(each.truths.sum()) for each in matches.classes if each.truths.any()}
    figure = new_figure(4.8, max(2.4, 1.6 + 0.45 * len(counts)))
    axes = new_axes(figure, "average precision", "")
    places = np.arange(len(counts))
    strict = [float(np.mean([each[code][0] for each in every])) for code in counts]
    for shift, values, colour, label in (
        (-0.2, [float(half[code][0]) for code in counts], ACCENT, "IoU 0.5"),
        (0.2, strict, MUTED, "IoU 0.5 to 0.95"),
    ):
        axes.barh(places + shift, values, height=0.36, color=colour, label=label)
        for place, value in zip(places, values, strict=True):
            axes.text(value + 0.015, place + shift, f"{value:.2f}", va="center", color=INK,
                      fontsize=8)  # fmt: skip
    names = [f"{plain(evaluation.classes[code], 16)} ({n:,})" for code, n in counts.items()]
    axes.set_yticks(places, labels=names)
    axes.set_xlim(0, 1.12)
    axes.invert_yaxis()
    legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def _thresholds(evaluation: Any) -> Figure:
    """Draw precision, recall and F1 of the boxes above each score, all classes together."""
    matches = match(evaluation.y, evaluation.scores, ious=(0.5,))
    cuts = np.linspace(0.01, 1.0, 100)
    figure = new_figure(4.8, 4.2)
    axes = new_axes(figure, "threshold on the score", "")
    tallies = np.array([_weights(evaluation)[0] @ matches.tallies(cut) for cut in cuts])
    right, said, true = tallies.T
    known = np.maximum(said, 1e-9)
    for values, colour, label in (
        (np.where(said > 0, right / known, np.nan), ACCENT, "precision"),
        (right / max(float(true.max()), 1e-9), SECOND, "recall"),
        (2 * right / np.maximum(said + true, 1e-9), INK, "F1"),
    ):
        axes.plot(cuts, values, color=colour, label=label, linewidth=1.6)
    axes.axvline(evaluation.task.threshold, color=MUTED, linewidth=1.2, linestyle="--",
                 label=f"threshold {evaluation.task.threshold:.2f}")  # fmt: skip
    unit_square(axes)
    legend(axes, loc="best")
    return figure


PLOTS = (
    Plot(
        "worst",
        "The worst images",
        "True boxes in blue, with the class above; answers in orange, with class and score below. "
        "Look whether it is the answer that is wrong, or the boxes given.",
        _worst,
    ),
    Plot(
        "precision_recall",
        "Precision and recall",
        "Of each class, as fewer and fewer sure boxes are counted; right is half an overlap.",
        _curves,
    ),
    Plot(
        "per_class",
        "Class by class",
        "Average precision at half an overlap, and over ten limits; true boxes in brackets.",
        _classes,
    ),
    Plot(
        "threshold",
        "Where to cut",
        "Boxes above a score, all classes together. Move the threshold to miss less or to alarm "
        "less.",
        _thresholds,
    ),
)
