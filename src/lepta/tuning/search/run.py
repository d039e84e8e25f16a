"""The search as ``fit`` calls it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from lepta.core.events import Context
from lepta.data import Dataset
from lepta.models.learner import VECTORS, Fitted
from lepta.tasks import Task
from lepta.tuning.candidates import Trial
from lepta.tuning.options import FitOptions
from lepta.tuning.search.ensemble import choose_weights
from lepta.tuning.search.finish import exportable, leaderboard, trials_of
from lepta.tuning.search.folding import Folds, plan_folds
from lepta.tuning.search.loop import Search
from lepta.tuning.search.plan import refit_seconds, wants_refit
from lepta.tuning.search.repeat import CHOICE, repeat

SHORTEST = 8.0
"""Seconds of a time budget from which a search is worth its start; below, the cheapest learners
share the time."""

_MEASURING = 0.015
"""Share of the time in which the candidates' graphs are measured."""


def searched(options: FitOptions, task: Task) -> bool:
    """Return whether a fit is a search: there is time, and nothing was chosen beforehand."""
    chosen = options.learner != "auto" or options.model is not None or bool(options.settings)
    enough = options.time is not None and options.time >= SHORTEST
    return enough and not chosen and task.name in {*VECTORS, "forecasting"}


def search(
    data: Dataset, task: Task, options: FitOptions, context: Context, *, given: bool
) -> tuple[list[Trial], list[dict[str, Any]]]:
    """Return the models to pack, the best first, and the leaderboard.

    Args:
        data: with the splits train and valid.
        task: what is learned.
        options: of the fit.
        context: its deadline is when the search ends.
        given: whether the valid rows were chosen by the caller, and are to be chosen by.

    Raises:
        TrainError: no candidate could be fitted.
    """
    folds = plan_folds(data, task, options.seed, given=given)
    if CHOICE in context.choices:
        board, chosen = repeat(context.choices[CHOICE], folds, task, options, context)
    else:
        board = Search(folds, task, options, context).run()
        chosen = exportable(board, choose_weights(board, options.seed), options.seed, context)
    refit = None
    if wants_refit(folds, task, options) and refit_seconds(chosen.entries) < context.seconds_left():
        refit = partial(_refitted, folds=folds, context=context)
    trials = trials_of(board, chosen, options, refit)
    seconds = max(1.0, _MEASURING * (options.time or 0.0))
    return trials, leaderboard(board, chosen, trials, seconds)


def _refitted(fitted: Fitted, folds: Folds, context: Context) -> Fitted:
    return fitted.refit(folds.rows, replace(context, deadline=None))  # there is time for it
