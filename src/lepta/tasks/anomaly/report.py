"""Plots of anomaly detection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lepta.tasks.drawing import (
    ACCENT,
    INK,
    MUTED,
    SECOND,
    Plot,
    legend,
    new_axes,
    new_figure,
    plain,
    unit_square,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 40


def _weights(evaluation: Any) -> Any:
    given = evaluation.weights
    return np.ones(len(evaluation.y)) if given is None else given


def _scores(evaluation: Any) -> Figure:
    """Draw how the scores of normal and of anomalous rows are spread."""
    task, weights = evaluation.task, _weights(evaluation)
    figure = new_figure()
    axes = new_axes(figure, "score", "share of the rows")
    for code, colour in ((0, ACCENT), (1, SECOND)):
        chosen = evaluation.y == code
        if not chosen.any():
            continue
        axes.hist(
            evaluation.scores[chosen, 0],
            bins=_BINS,
            range=(0.0, 1.0),
            weights=weights[chosen] / weights[chosen].sum(),
            color=colour,
            alpha=0.55,
            label=plain(task.classes[code]),
        )
    axes.axvline(task.threshold, color=INK, linewidth=1, dashes=(2, 3))
    legend(axes, loc="upper left")
    return figure


def _alarms(evaluation: Any) -> Figure:
    """Draw the share of anomalies found over the share of false alarms."""
    task, y, weights = evaluation.task, evaluation.y, _weights(evaluation)
    order = np.argsort(-evaluation.scores[:, 0], kind="stable")
    ranked = evaluation.scores[order, 0]
    ends = np.r_[ranked[1:] != ranked[:-1], True]
    figure = new_figure()
    axes = new_axes(figure, "share of normal rows answered anomalous", "share of anomalies found")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, dashes=(2, 3))
    sums = [np.cumsum(np.where(y == code, weights, 0.0)[order]) for code in (0, 1)]
    if all(total[-1] > 0 for total in sums):
        false, found = (np.r_[0.0, (total / total[-1])[ends]] for total in sums)
        axes.plot(false, found, color=ACCENT, linewidth=1.6)
        at = np.searchsorted(-ranked[ends], -task.threshold, side="right")
        axes.plot(false[at], found[at], "o", color=SECOND, markersize=6,
                  label=f"threshold {task.threshold:.3g}")  # fmt: skip
        legend(axes, loc="lower right")
    unit_square(axes)
    return figure


PLOTS = (
    Plot(
        "scores",
        "Scores",
        "The share of normal rows that the model finds less strange. Scores of normal rows should "
        "lie evenly from 0 to 1; the dotted line is the threshold.",
        _scores,
    ),
    Plot(
        "alarms",
        "What a false alarm buys",
        "Anomalies found as more normal rows are answered anomalous (ROC curve). On the dotted "
        "line a model guesses.",
        _alarms,
    ),
)
