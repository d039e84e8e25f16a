"""Plots of quantiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lepta.tasks.drawing import ACCENT, MUTED, SECOND, Plot, legend, new_axes, new_figure, plain
from lepta.tasks.drawing import unit_square as square

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN = 120


def _fan(evaluation: Any) -> Figure:
    """Draw intervals and truths of some rows, in the order of their predictions."""
    task, y, scores = evaluation.task, evaluation.y, evaluation.scores
    rng = np.random.default_rng(evaluation.seed)
    rows = rng.permutation(len(y))[:_DRAWN]
    rows = rows[np.argsort(scores[rows, task.middle], kind="stable")]
    figure = new_figure()
    unit = f" ({task.unit})" if task.unit else ""
    axes = new_axes(figure, "rows, by prediction", plain(f"{task.target}{unit}"))
    places = np.arange(len(rows))
    low, high = scores[rows, 0], scores[rows, -1]
    axes.vlines(places, low, high, color=ACCENT, linewidth=2, alpha=0.3,
                label=f"quantiles {task.quantiles[0]:g} to {task.quantiles[-1]:g}")  # fmt: skip
    axes.plot(places, scores[rows, task.middle], color=ACCENT, linewidth=1.4)
    inside = (y[rows] >= low) & (y[rows] <= high)
    for chosen, colour, label in ((inside, MUTED, "truth"), (~inside, SECOND, "truth outside")):
        axes.plot(places[chosen], y[rows][chosen], "o", color=colour, markersize=3, label=label)
    axes.set_xticks([])
    legend(axes, loc="upper left")
    return figure


def _honesty(evaluation: Any) -> Figure:
    task = evaluation.task
    below = (evaluation.y[:, None] <= evaluation.scores).astype(np.float64)
    shares = np.average(below, axis=0, weights=evaluation.weights)
    error = 1.96 * np.sqrt(shares * (1 - shares) / len(evaluation))
    figure = new_figure()
    axes = new_axes(figure, "level of the quantile", "share of truths below it")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, dashes=(2, 3))
    axes.errorbar(
        task.quantiles, shares, yerr=error, fmt="o", color=ACCENT, markersize=5, linewidth=1.4
    )
    square(axes)
    return figure


PLOTS = (
    Plot(
        "fan",
        "Intervals and truths",
        f"Up to {_DRAWN} rows. The line is the middle quantile, bars reach from the first to the "
        "last one.",
        _fan,
    ),
    Plot(
        "honesty",
        "As often as promised",
        "On the dotted line as many truths lie below a quantile as its level says.",
        _honesty,
    ),
)
