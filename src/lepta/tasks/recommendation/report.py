"""Plots of recommendations: hits by length of the list, by length of history, and variety."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lepta.tasks.drawing import ACCENT, MUTED, SECOND, Plot, legend, new_axes, new_figure
from lepta.tasks.recommendation.metrics import popularity_ranks, ranks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST = 100
_PARTS = 5


def _by_length(evaluation: Any) -> Figure:
    y, scores = evaluation.y, evaluation.scores
    lengths = np.arange(1, min(_LONGEST, scores.shape[1]) + 1)
    figure = new_figure()
    axes = new_axes(figure, "items recommended", "hit rate")
    for found, colour, label in (
        (ranks(y, scores), ACCENT, "the model"),
        (popularity_ranks(y, scores), SECOND, "the most popular"),
    ):
        rates = np.searchsorted(np.sort(found), lengths, side="right") / len(y)
        axes.plot(lengths, rates, color=colour, linewidth=1.8, label=label)
    axes.axvline(evaluation.task.top, color=MUTED, linewidth=1, dashes=(2, 3))
    axes.set_ylim(bottom=0)
    legend(axes, loc="upper left")
    return figure


def _by_history(evaluation: Any) -> Figure:
    """Draw hits by how many items were taken before, which is how many must not be offered."""
    taken = np.count_nonzero(evaluation.scores <= 0, axis=1)
    hits = ranks(evaluation.y, evaluation.scores) <= evaluation.task.top
    parts = [part for part in np.array_split(np.argsort(taken, kind="stable"), _PARTS) if len(part)]
    rates = np.array([hits[part].mean() for part in parts])
    errors = np.array([np.sqrt(r * (1 - r) / len(p)) for r, p in zip(rates, parts, strict=True)])
    figure = new_figure()
    axes = new_axes(figure, "items taken before", f"hit rate at {evaluation.task.top}")
    places = np.arange(len(parts))
    axes.errorbar(places, rates, 1.96 * errors, fmt="o", color=ACCENT, capsize=3)
    labels = [f"{taken[part].min()}-{taken[part].max()}" for part in parts]
    axes.set_xticks(places, labels=labels)
    axes.set_ylim(bottom=0)
    return figure


def _variety(evaluation: Any) -> Figure:
    """Draw what share of the lists goes to the most popular items, in the catalogue's order."""
    items = evaluation.scores.shape[1]
    best = evaluation.task.best(evaluation.scores).ravel()
    figure = new_figure()
    axes = new_axes(figure, "the most popular items", "share")
    places = np.arange(1, items + 1)
    for codes, colour, label in (
        (best, ACCENT, f"recommended ({len(np.unique(best)):,} items)"),
        (evaluation.y[evaluation.y >= 0], SECOND, "taken"),
    ):
        share = np.cumsum(np.bincount(codes, minlength=items)) / max(len(codes), 1)
        axes.plot(places, share, color=colour, linewidth=1.8, label=label)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    legend(axes, loc="upper left")
    return figure


PLOTS = (
    Plot(
        "by_length",
        "Hits by length of the list",
        "Share of the rows whose next item is in a list so long; the dotted line is the length "
        "that is answered.",
        _by_length,
    ),
    Plot(
        "by_history",
        "Hits by length of history",
        "Rows in fifths by how many different items must not be offered again, with 95 % bars.",
        _by_history,
    ),
    Plot(
        "variety",
        "Variety",
        "What share of all recommendations goes to the most popular items, beside what was really "
        "taken: a line above the other favours the popular.",
        _variety,
    ),
)
"""Plots of the report, in reading order."""
