"""The plots of a report: one function from an evaluation to a figure each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from lepta.evaluation.report import curves
from lepta.evaluation.results import Evaluation
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
from lepta.tasks.metrics.base import Floats
from lepta.tasks.metrics.probabilities import confidence

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch


def plots_of(evaluation: Evaluation) -> list[Plot]:
    """Return the plots that this evaluation allows, in reading order."""
    if evaluation.task.report:
        module, _, attribute = evaluation.task.report.partition(":")
        return list(getattr(import_module(module), attribute))
    if not evaluation.task.is_classification:
        return [PREDICTED, RESIDUALS]
    if len(evaluation.classes) > 2:
        return [CONFUSION, CALIBRATION] if len(evaluation.classes) <= 60 else [CALIBRATION]
    if len(np.unique(evaluation.y)) < 2:
        return [CONFUSION, CALIBRATION]
    return [CONFUSION, ROC, PR, CALIBRATION, THRESHOLD]


def _confusion(evaluation: Evaluation) -> Figure:
    table = evaluation.confusion()
    assert table is not None  # noqa: S101
    count = len(table)
    size = 3.7 if count <= 6 else min(7.5, 2.2 + 0.32 * count)
    figure = new_figure(max(4.6, size * 1.12), size)
    axes = new_axes(figure, "answered", "true")
    axes.grid(visible=False)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    for true, said in np.argwhere(table > 0):
        right = true == said
        axes.add_patch(_cell(said, true, shares[true, said], ACCENT if right else SECOND))
    for true, said in np.ndindex(*table.shape) if count <= 12 else ():
        number = f"{table[true, said]:,}"
        label = f"{number}\n{shares[true, said]:.0%}" if count <= 4 else number
        shade = INK if table[true, said] else MUTED
        axes.text(said, true, label, ha="center", va="center", color=shade, fontsize=10)
    labels = [plain(name, 16) for name in evaluation.classes]
    turn = 0 if count <= 3 else 90
    axes.set_xticks(range(count), labels=labels, rotation=turn)
    axes.set_yticks(range(count), labels=labels)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_aspect("equal")
    for spine in axes.spines.values():
        spine.set_visible(False)
    if count > 20:
        axes.tick_params(labelsize=6)
    return figure


def _cell(said: int, true: int, share: float, colour: str) -> Patch:
    from matplotlib.patches import FancyBboxPatch

    return FancyBboxPatch(
        (said - 0.46, true - 0.46),
        0.92,
        0.92,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor=colour,
        alpha=0.08 + 0.55 * share,
        linewidth=0,
    )


def _roc(evaluation: Evaluation) -> Figure:
    positive, score = evaluation.y == 1, evaluation.scores[:, 1].astype(float)
    figure = new_figure()
    axes = new_axes(figure, "false alarms (1 − specificity)", "recall (sensitivity)")  # noqa: RUF001
    band = curves.roc_band(positive, score, evaluation.groups, evaluation.level, evaluation.seed)
    if band is not None:
        axes.fill_between(
            curves.GRID,
            *band,
            color=ACCENT,
            alpha=0.16,
            linewidth=0,
            label=f"{evaluation.level * 100:g} % band",
        )
    curve = curves.sweep(positive, score, evaluation.weights).thinned()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, dashes=(2, 3))
    axes.plot(curve.false_alarm, curve.recall, color=ACCENT, linewidth=1.8)
    table = evaluation.confusion()
    if table is not None:
        x, y = curves.at_threshold(table)
        axes.plot(
            [x],
            [y],
            "o",
            color=SECOND,
            markersize=6,
            linestyle="none",
            label=f"threshold {evaluation.threshold:.2g}",
        )
    unit_square(axes)
    legend(axes, loc="lower right")
    return figure


def _pr(evaluation: Evaluation) -> Figure:
    positive, score = evaluation.y == 1, evaluation.scores[:, 1].astype(float)
    figure = new_figure()
    axes = new_axes(figure, "recall", "precision")
    curve = curves.sweep(positive, score, evaluation.weights).thinned()
    axes.step(curve.recall[1:], curve.precision[1:], where="pre", color=ACCENT, linewidth=1.8)
    share = float(np.average(positive, weights=evaluation.weights))
    axes.axhline(share, color=MUTED, linewidth=1, dashes=(2, 3), label="guessing")
    table = evaluation.confusion()
    if table is not None and table[:, 1].sum():
        _, recall = curves.at_threshold(table)
        precision = float(table[1, 1] / table[:, 1].sum())
        label = f"threshold {evaluation.threshold:.2g}"
        axes.plot(
            [recall], [precision], "o", color=SECOND, markersize=6, linestyle="none", label=label
        )
    unit_square(axes)
    legend(axes, loc="lower left")
    return figure


def _calibration(evaluation: Evaluation) -> Figure:
    claimed, came_true = confidence(evaluation.y, evaluation.scores.astype(float))
    found = curves.reliability(claimed, came_true, evaluation.level)
    figure = new_figure()
    places = figure.add_gridspec(2, 1, height_ratios=(3.4, 1))
    binary = len(evaluation.classes) == 2
    upper = new_axes(figure, "", "what came true", places[0])
    lower = new_axes(
        figure,
        f"probability of {plain(evaluation.classes[1])}" if binary else "probability of the answer",
        "rows",
        places[1],
    )
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, dashes=(2, 3))
    upper.vlines(found.claimed, found.low, found.high, color=ACCENT, linewidth=1.4, alpha=0.45)
    upper.plot(found.claimed, found.came_true, "o-", color=ACCENT, markersize=4.5, linewidth=1.6)
    unit_square(upper)
    upper.tick_params(labelbottom=False)
    lower.hist(claimed, bins=20, range=(0, 1), color=ACCENT, alpha=0.55, rwidth=0.86)
    lower.set_xlim(-0.02, 1.02)
    lower.set_xticks([0, 0.25, 0.5, 0.75, 1.0], labels=["0", "0.25", "0.5", "0.75", "1"])
    return figure


def _threshold(evaluation: Evaluation) -> Figure:
    positive, score = evaluation.y == 1, evaluation.scores[:, 1].astype(float)
    curve = curves.sweep(positive, score, evaluation.weights)
    figure = new_figure()
    axes = new_axes(figure, "threshold on the probability", "share")
    grid = np.linspace(0.0, 1.0, 201)
    at = np.searchsorted(-curve.threshold, -grid, side="right") - 1
    axes.plot(grid, curve.recall[at], color=ACCENT, linewidth=1.8, label="recall")
    axes.plot(grid, 1 - curve.false_alarm[at], color=MUTED, linewidth=1.5, label="specificity")
    axes.plot(grid, curve.precision[at], color=SECOND, linewidth=1.5, label="precision")
    axes.axvline(evaluation.threshold, color=INK, linewidth=1, dashes=(2, 3))
    unit_square(axes)
    legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure


def _predicted(evaluation: Evaluation) -> Figure:
    figure = new_figure()
    target = plain(_with_unit(evaluation))
    axes = new_axes(figure, f"predicted {target}", f"true {target}")
    x, y = _pairs(evaluation)
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    axes.plot([low, high], [low, high], color=MUTED, linewidth=1, dashes=(2, 3))
    axes.plot(x, y, "o", color=ACCENT, markersize=3.2, alpha=0.45, markeredgewidth=0)
    return figure


def _residuals(evaluation: Evaluation) -> Figure:
    figure = new_figure()
    axes = new_axes(figure, f"error: predicted − true {plain(_with_unit(evaluation))}", "rows")  # noqa: RUF001
    error = evaluation.scores[:, 0].astype(float) - evaluation.y
    reach = float(np.quantile(np.abs(error), 0.995)) or 1.0
    axes.hist(
        error.clip(-reach, reach),
        bins=41,
        range=(-reach, reach),
        color=ACCENT,
        alpha=0.6,
        rwidth=0.9,
    )
    axes.axvline(0, color=MUTED, linewidth=1, dashes=(2, 3))
    axes.axvline(float(error.mean()), color=SECOND, linewidth=1.4, label=f"mean {error.mean():.3g}")
    legend(axes, loc="upper right")
    return figure


def _pairs(evaluation: Evaluation) -> tuple[Floats, Floats]:
    x, y = evaluation.scores[:, 0].astype(float), evaluation.y.astype(float)
    if len(y) <= 1500:
        return x, y
    chosen = np.random.default_rng(evaluation.seed).choice(len(y), 1500, replace=False)
    return x[chosen], y[chosen]


def _with_unit(evaluation: Evaluation) -> str:
    unit = getattr(evaluation.task, "unit", "")
    return f"{evaluation.task.target} ({unit})" if unit else evaluation.task.target


CONFUSION = Plot(
    "confusion",
    "What was answered",
    "Rows are the truth, columns the answers; the diagonal is right.",
    _confusion,
)
ROC = Plot(
    "roc",
    "ROC curve",
    "Recall bought at each rate of false alarms. The dotted diagonal is guessing.",
    _roc,
)
PR = Plot(
    "pr",
    "Precision and recall",
    "How much of what is answered positive is right, as more of the positives are found.",
    _pr,
)
CALIBRATION = Plot(
    "calibration",
    "Calibration",
    "On the dotted line a probability of 0.7 comes true 7 times in 10. Bars are intervals; below, "
    "how often each probability was given.",
    _calibration,
)
THRESHOLD = Plot(
    "threshold",
    "Choosing a threshold",
    "What every threshold would give; the dotted line is the one in use.",
    _threshold,
)
PREDICTED = Plot(
    "predicted",
    "Predicted and true",
    "On the dotted line a prediction is exact. At most 1,500 rows are drawn.",
    _predicted,
)
RESIDUALS = Plot(
    "residuals",
    "Errors",
    "How far off, and to which side. The outermost bars hold everything beyond.",
    _residuals,
)
