"""Cross-validation of the whole of ``fit``."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from lepta.core.events import Context
from lepta.core.schema import Role
from lepta.data import Dataset, folds, require_trainable
from lepta.engine import tune_process
from lepta.evaluation import Evaluation, measure
from lepta.evaluation.measuring import group_codes
from lepta.tuning.fitting import with_threshold
from lepta.tuning.options import FitOptions


def cross_validate(
    data: Dataset, *, k: int = 5, context: Context | None = None, **options: Any
) -> Evaluation:
    """Measure ``fit`` by cross-validation: rows are scored by models that never saw them.

    Within each fold a part of the training rows is held out to choose and calibrate by. Groups are
    kept together; classification is stratified. With a time field each test is later than its
    train, so that the first stretch of time is never tested and does not count.

    Args:
        data: a dataset with a target; given splits are not used.
        k: number of folds.
        context: progress reporter, cache, threads.
        options: fields of :class:`~lepta.tuning.options.FitOptions`.
    """
    tune_process()
    from lepta.models.learner import final_scores
    from lepta.tuning.candidates import choose_names, share_of, try_learners

    chosen = FitOptions.parse(options)
    context = replace(context or Context(), seed=chosen.seed)
    data = require_trainable(data, drop_missing=chosen.drop_missing)
    task = with_threshold(data.task, chosen)
    data = _without_splits(data)
    if chosen.time is not None:
        context = replace(context, deadline=time.monotonic() + chosen.time)
    scores = np.full((len(data), task.width), np.nan, np.float32)
    tested = np.zeros(len(data), np.bool_)
    for fold, (train_rows, test_rows) in enumerate(
        context.track(folds(data, k, seed=chosen.seed), "cross-validation", total=k)
    ):
        inner = data.take(train_rows).split(valid=chosen.valid, test=0.0, seed=chosen.seed)
        require_trainable(inner)
        names = choose_names(chosen, data.schema)
        share = share_of(context, k - fold)
        best = try_learners(names, inner["train"], inner["valid"], task, chosen, share)[0]
        tested[test_rows] = True
        raw = best.fitted.raw(best.fitted.front.run(data.take(test_rows), context))
        scores[test_rows] = final_scores(raw, task, best.temperature)
    data, scores = data.take(np.flatnonzero(tested)), scores[tested]
    group = data.schema.one(Role.GROUP)
    groups = None if group is None else group_codes(data.column(group.name), len(data))
    y, split = task.encode(data.column(task.target)), f"{k}-fold cross-validation"
    measured = measure(task, y, scores, groups=groups, seed=chosen.seed, split=split)
    return Evaluation(
        chosen.name, task, measured, y, scores, groups=groups, split=split, seed=chosen.seed
    )


def _without_splits(data: Dataset) -> Dataset:
    """Return the dataset with no given splits, neither named ones nor those of a column."""
    field = data.schema.one(Role.SPLIT)
    schema = data.schema if field is None else data.schema.replace(field.name, role=Role.IGNORE)
    return data.with_schema(schema).with_splits({})
