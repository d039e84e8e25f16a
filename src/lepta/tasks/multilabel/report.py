"""Plots of rows with any number of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lepta.tasks.drawing import ACCENT, MUTED, SECOND, Plot, legend, new_axes, new_figure, plain
from lepta.tasks.drawing import unit_square as square

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABELS = 30
_BINS = 10


def _by_label(evaluation: Any) -> Figure:
    """Draw precision, recall and frequency of each label, the most frequent first."""
    y, said = evaluation.y > 0, evaluation.task.answered(evaluation.scores)
    chosen = np.argsort(-y.sum(axis=0), kind="stable")[:_LABELS]
    hits = (y & said).sum(axis=0)
    figure = new_figure(4.6, min(9.0, 1.2 + 0.26 * len(chosen)))
    axes = new_axes(figure, "share", "")
    places = np.arange(len(chosen))
    parts = (
        ("precision", hits / np.maximum(said.sum(axis=0), 1), SECOND, "s"),
        ("recall", hits / np.maximum(y.sum(axis=0), 1), ACCENT, "o"),
        ("rows that have it", y.mean(axis=0), MUTED, "|"),
    )
    for name, shares, colour, mark in parts:
        axes.plot(
            shares[chosen], places, mark, color=colour, markersize=5, label=name, linestyle="none"
        )
    axes.set_yticks(places, labels=[plain(evaluation.task.classes[k], 20) for k in chosen])
    axes.set_ylim(len(chosen) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure


def _calibration(evaluation: Any) -> Figure:
    claimed, true = evaluation.scores.ravel(), evaluation.y.ravel()
    bins = np.minimum((claimed * _BINS).astype(int), _BINS - 1)
    used = np.unique(bins)
    figure = new_figure()
    axes = new_axes(figure, "probability of a label", "what came true")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, dashes=(2, 3))
    points = [(claimed[bins == b].mean(), true[bins == b].mean()) for b in used]
    axes.plot(*np.array(points).T, "o-", color=ACCENT, markersize=4.5, linewidth=1.6)
    square(axes)
    return figure


PLOTS = (
    Plot(
        "labels",
        "Label by label",
        f"Precision and recall at the thresholds in use; at most {_LABELS} labels, the most "
        "frequent first.",
        _by_label,
    ),
    Plot(
        "calibration",
        "Calibration",
        "On the dotted line a probability of 0.7 comes true 7 times in 10. All labels together.",
        _calibration,
    ),
)
