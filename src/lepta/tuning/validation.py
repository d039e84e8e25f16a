"""Cross-validation of the whole of ``fit``."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.core.schema import Role
from lepta.data import Dataset, folds, require_trainable
from lepta.engine import tune_process
from lepta.evaluation import Evaluation, measure
from lepta.evaluation.evaluating import column_of, groups_of
from lepta.evaluation.measuring import read_sample
from lepta.runtime.predictions import Piece, gather
from lepta.tuning.fitting import with_threshold
from lepta.tuning.options import FitOptions


def cross_validate(
    data: Dataset, *, k: int = 5, context: Context | None = None, **options: Any
) -> Evaluation:
    """Measure ``fit`` by cross-validation: rows are scored by models that never saw them.

    A search (``time=``) is made anew within each fold, in its share of the time.

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
    from lepta.tuning.candidates import choose_names, try_learners
    from lepta.tuning.search.run import search, searched

    chosen = FitOptions.parse(options)
    context = replace(context or Context(), seed=chosen.seed)
    data = require_trainable(data, drop_missing=chosen.drop_missing)
    task = with_threshold(data.task, chosen)
    data = _without_splits(data)
    if chosen.time is not None:
        context = replace(context, deadline=time.monotonic() + chosen.time)
    pieces: list[Piece] = []
    for fold, (train_rows, test_rows) in enumerate(
        context.track(folds(data, k, seed=chosen.seed), "cross-validation", total=k)
    ):
        inner = data.take(train_rows).split(valid=chosen.valid, test=0.0, seed=chosen.seed)
        require_trainable(inner)
        names = choose_names(chosen, data.schema, task)
        share = context.share(k - fold)
        if searched(chosen, task):
            best = search(inner, task, chosen, share, given=False)[0][0]
        else:
            best = try_learners(names, inner["train"], inner["valid"], task, chosen, share)[0]
        part = best.fitted.scores(data.take(test_rows), context, best.temperature)
        pieces.append((test_rows, part))
    data, scores = _tested(data, pieces)
    groups, weights = groups_of(data), column_of(data, Role.WEIGHT)
    sample = read_sample(task, data.targets(task), scores, groups, weights)
    split = f"{k}-fold cross-validation"
    measured = measure(
        task, sample.y, scores, groups=groups, weights=weights, seed=chosen.seed, split=split
    )
    return Evaluation(
        name=chosen.name,
        task=task,
        metrics=measured,
        y=sample.y,
        scores=sample.scores,
        groups=sample.groups,
        weights=sample.weights,
        split=split,
        seed=chosen.seed,
    )


def _tested(data: Dataset, pieces: list[Piece]) -> tuple[Dataset, NDArray[Any]]:
    """Return the rows that some fold tested, in their order, and their scores."""
    rows = np.sort(np.concatenate([tested for tested, _ in pieces]))
    placed = [(np.searchsorted(rows, tested), scores) for tested, scores in pieces]
    return data.take(rows), gather(placed, len(rows), data.task.output())


def _without_splits(data: Dataset) -> Dataset:
    """Return the dataset with no given splits, neither named ones nor those of a column."""
    field = data.schema.one(Role.SPLIT)
    schema = data.schema if field is None else data.schema.replace(field.name, role=Role.IGNORE)
    return data.with_schema(schema).with_splits({})
