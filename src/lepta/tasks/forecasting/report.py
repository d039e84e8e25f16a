"""Plots of a forecast: its error by step ahead, examples, and the promise of its quantiles."""

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
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EXAMPLES = 4


def _by_step(evaluation: Any) -> Figure:
    errors = np.abs(evaluation.task.decide(evaluation.scores) - evaluation.y)
    steps = np.arange(1, errors.shape[1] + 1)
    figure = new_figure()
    axes = new_axes(figure, "steps ahead", "mean absolute error")
    low, high = np.quantile(errors.mean(axis=2), [0.25, 0.75], axis=0)
    axes.fill_between(steps, low, high, color=ACCENT, alpha=0.16, linewidth=0, label="middle half")
    axes.plot(steps, errors.mean(axis=(0, 2)), "o-", color=ACCENT, markersize=3.5, label="mean")
    axes.set_ylim(bottom=0)
    legend(axes, loc="upper left")
    return figure


def _examples(evaluation: Any) -> Figure:
    scores, y = evaluation.scores[:, :, 0], evaluation.y[:, :, 0]
    chosen = np.linspace(0, len(y) - 1, min(_EXAMPLES, len(y))).astype(int)
    figure = new_figure(6.4, 1.6 * len(chosen) + 0.5)
    places = figure.add_gridspec(len(chosen), 1)
    steps = np.arange(1, y.shape[1] + 1)
    for place, row in enumerate(chosen):
        last = place == len(chosen) - 1
        axes = new_axes(figure, "steps ahead" if last else "", "", places[place])
        axes.fill_between(
            steps, scores[row, :, 0], scores[row, :, -1], color=ACCENT, alpha=0.16, linewidth=0
        )
        middle = scores[row, :, evaluation.task.median]
        axes.plot(steps, middle, "o-", color=ACCENT, markersize=3, label="forecast")
        axes.plot(steps, y[row], "o-", color=SECOND, markersize=3, label="truth")
        if place == 0:
            axes.set_title(plain(evaluation.task.fields[0]), color=INK, fontsize=10, loc="left")
            legend(axes, loc="best")
    return figure


def _promise(evaluation: Any) -> Figure:
    levels = np.array(evaluation.task.quantiles)
    below = (evaluation.y[..., None] <= evaluation.scores).mean(axis=(0, 1, 2))
    figure = new_figure()
    axes = new_axes(figure, "quantile", "share of the truth below")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, dashes=(2, 3))
    axes.plot(levels, below, "o-", color=ACCENT, markersize=5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    return figure


PLOTS = (
    Plot("by_step", "Error by step ahead", "How the error grows with the distance.", _by_step),
    Plot(
        "examples",
        "Examples",
        "Forecasts of the first series at some moments; the band holds all quantiles.",
        _examples,
    ),
    Plot(
        "promise",
        "Do the quantiles hold?",
        "On the dotted line, the truth lies below a quantile as often as its level says.",
        _promise,
    ),
)
"""Plots of the report, in reading order."""
