"""Cross-validation of the whole of ``fit``."""

from __future__ import annotations

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
    """Measure ``fit`` by cross-validation: each row is scored by a model that never saw it.

    Within each fold a part of the training rows is held out to choose and calibrate by. Groups are
    kept together; classification is stratified.

    Args:
        data: a dataset with a target; given splits are not used.
        k: number of folds.
        context: progress reporter, cache, threads.
        options: fields of :class:`~lepta.tuning.options.FitOptions`.
    """
    tune_process()
    from lepta.models.learner import final_scores
    from lepta.tuning.candidates import choose_names, try_learners

    chosen = FitOptions.parse(options)
    context = replace(context or Context(), seed=chosen.seed)
    data = require_trainable(data, drop_missing=chosen.drop_missing)
    task = with_threshold(data.task, chosen)
    scores = np.empty((len(data), task.width), np.float32)
    for train_rows, test_rows in context.track(
        folds(data, k, seed=chosen.seed), "cross-validation", total=k
    ):
        inner = data.take(train_rows).split(valid=chosen.valid, test=0.0, seed=chosen.seed)
        names = choose_names(chosen, data.schema)
        best = try_learners(names, inner["train"], inner["valid"], task, chosen, context)[0]
        raw = best.fitted.raw(best.fitted.front.run(data.take(test_rows), context))
        scores[test_rows] = final_scores(raw, task, best.temperature)
    group = data.schema.one(Role.GROUP)
    groups = None if group is None else group_codes(data.column(group.name), len(data))
    y, split = task.encode(data.column(task.target)), f"{k}-fold cross-validation"
    measured = measure(task, y, scores, groups=groups, seed=chosen.seed, split=split)
    return Evaluation(
        chosen.name, task, measured, y, scores, groups=groups, split=split, seed=chosen.seed
    )
