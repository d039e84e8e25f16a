"""Plots of a ranking: quality by length of the list, and query by query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lepta.tasks.drawing import ACCENT, SECOND, Plot, legend, new_axes, new_figure
from lepta.tasks.ranking.metrics import Ordered, ndcg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST = 20


def _by_length(evaluation: Any) -> Figure:
    y, rng = evaluation.y, np.random.default_rng(evaluation.seed)
    figure = new_figure()
    axes = new_axes(figure, "rows counted, k", "NDCG at k")
    lengths = np.arange(1, _LONGEST + 1)
    for scores, colour, label in (
        (evaluation.scores, ACCENT, "the model"),
        (rng.random((len(y), 1)), SECOND, "in any order"),
    ):
        ordered = Ordered.of(y, scores)
        values = [np.nanmean(ndcg(ordered, int(k))) for k in lengths]
        axes.plot(lengths, values, "o-", color=colour, markersize=3, label=label)
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.set_ylim(0, 1.02)
    legend(axes, loc="lower right")
    return figure


def _by_query(evaluation: Any) -> Figure:
    values = ndcg(Ordered.of(evaluation.y, evaluation.scores), 10)
    figure = new_figure()
    axes = new_axes(figure, "NDCG at 10", "queries")
    axes.hist(values[np.isfinite(values)], bins=20, range=(0.0, 1.0), color=ACCENT, alpha=0.7)
    return figure


PLOTS = (
    Plot(
        "by_length",
        "Quality by length of the list",
        "NDCG of the first k rows of each query, beside a random order of the same rows.",
        _by_length,
    ),
    Plot(
        "by_query",
        "Query by query",
        "How many queries are ordered how well; a mean can hide queries that are ordered badly.",
        _by_query,
    ),
)
"""Plots of the report, in reading order."""
