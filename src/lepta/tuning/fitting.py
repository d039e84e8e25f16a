"""``fit``: a dataset in, a measured bundle out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lepta.bundle import Bundle
from lepta.core.errors import ConfigError, DataError, ExportError, Where, suggest
from lepta.core.events import Context
from lepta.core.schema import ARRAYS
from lepta.data import Dataset, require_trainable
from lepta.engine import tune_process
from lepta.evaluation import CheckReport, check
from lepta.evaluation.thresholds import threshold_for_costs
from lepta.store import Plan, tracking
from lepta.tasks import Binary, Task
from lepta.tasks.detection import Detection
from lepta.tasks.regression import Number
from lepta.tuning.options import FitOptions
from lepta.tuning.recipe import Recipe, pack_rows
from lepta.tuning.repeating import opened, require_same, reread, tell_identity

if TYPE_CHECKING:
    from lepta.tuning.candidates import Trial

LEAST = {"train": 8, "valid": 2, "test": 2}
"""Rows that each split needs."""
_RESERVE, _PACKING, _PACKING_ROW, _PACKING_MEDIA = 0.1, 6.0, 1e-4, 40.0
"""Time kept for export, evaluation and packing: a share of the budget, but no more than some
seconds and a little for each row, or what large networks take."""


def fit(
    data: Any = None,
    *,
    from_bundle: Bundle | Path | str | None = None,
    track: str | Sequence[str] = (),
    context: Context | None = None,
    **options: Any,
) -> Bundle:
    """Train the model that does best on unseen rows, and measure it.

    The rows are split into train, valid and test unless the dataset has splits: learners are
    fitted on train, chosen and calibrated on valid, and measured on test.

    Args:
        data: a :class:`~lepta.data.Dataset` with a target, or anything ``Dataset.read`` takes,
            then with ``target=`` and the other options of ``Dataset.read``.
        from_bundle: repeat the run that made this bundle. Data and options are those of that run,
            and on the same machine so is the graph, bit for bit; data that have changed are
            refused. ``data`` may be left out where the run read a file or folder that is still
            there; ``device`` and ``threads`` may be given.
        track: keep the figures of the run, epoch by epoch, with these trackers:
            "mlflow,wandb,tensorboard", or a sequence.
        context: progress reporter, seed, cache, threads.
        options: fields of :class:`~lepta.tuning.options.FitOptions`.

    Returns:
        A bundle with one ONNX graph, metrics with intervals, profile, report and model card.

    Raises:
        ConfigError: an option is unknown.
        DataError: the data is not fit for training; the reason and the remedy are named.
        TrainError: no learner can take the data.
    """
    context = context or Context()
    if track:
        with tracking(track, plan_of(options, from_bundle), context=context) as run:
            made = fit(data, from_bundle=from_bundle, context=run.context, **options)
            run.finish(*outcome(made))
        return made
    if from_bundle is not None:
        bundle = opened(from_bundle)
        data, recipe = reread(bundle, data, options, context)
        repeated = _fit(data, recipe.fit, context, repeats=(recipe, bundle))
        tell_identity(bundle, repeated, context)
        return repeated
    reading = {key: options.pop(key) for key in list(options) if key not in FitOptions.model_fields}
    chosen = FitOptions.parse(options)
    if not isinstance(data, Dataset):
        data = Dataset.read(data, context=context, **reading)
    elif reading:
        raise ConfigError(
            f"There is no option {next(iter(reading))!r} for a dataset that is read already.",
            fix=f"Options of fit: {', '.join(FitOptions.model_fields)}.",
        )
    return _fit(data, chosen, context)


def plan_of(
    options: Mapping[str, Any], from_bundle: Bundle | Path | str | None = None, name: str = ""
) -> Plan:
    """Return what trackers are told when a fit begins: the options that were given."""
    params = {key: value for key, value in options.items() if key in FitOptions.model_fields}
    params |= params.pop("settings", {})
    named = str(params.pop("name", ""))
    if from_bundle is not None:
        named = named or opened(from_bundle).manifest.name
    params.pop("learner", None)  # which one it was, the outcome tells
    experiment = named or FitOptions().name
    return Plan(experiment, name or experiment, {"seed": 0} | params)


def outcome(bundle: Bundle) -> tuple[dict[str, float], dict[str, Any]]:
    """Return what trackers are told when a fit has ended: metrics, and what was chosen."""
    manifest = bundle.manifest
    metrics = {m.name: m.value for m in manifest.metrics if m.value is not None}
    return metrics, {"learner": manifest.lineage.config["learner"]}


def _fit(
    given: Dataset,
    options: FitOptions,
    context: Context,
    repeats: tuple[Recipe, Bundle] | None = None,
) -> Bundle:
    tune_process()
    from lepta.tuning.candidates import choose_names, settle, try_learners
    from lepta.tuning.packing import pack_trial
    from lepta.tuning.search.repeat import CHOICE
    from lepta.tuning.search.run import search, searched
    from lepta.tuning.whole import on_all_rows

    measured = dict(repeats[0].choices) if repeats is not None else {}
    context = replace(context, seed=options.seed, choices=measured)
    if options.time is not None:
        media = any(field.kind in ARRAYS for field in given.schema.inputs)
        most = _PACKING_MEDIA if media else _PACKING + _PACKING_ROW * len(given)
        kept = min(options.time * _RESERVE, most)
        context = replace(context, deadline=time.monotonic() + options.time - kept)
    data = require_trainable(given, drop_missing=options.drop_missing)
    data = require_trainable(prepare_splits(data, options))
    if repeats is not None:
        require_same(data, repeats[0], repeats[1].manifest.lineage.dataset)
    task = with_threshold(data.task, options)
    require_digits(data, task)
    checks = audit(data, context) if options.audit else None
    names = choose_names(options, data.schema, task)
    options, context = settle(options, names, context)
    recipe, rows = Recipe.of(data, options, context), pack_rows(given, data, options)
    if searched(options, task):
        held = "valid" in given.splits
        trials, board = search(data, task, options, context, given=held)
    else:
        trials = try_learners(names, data["train"], data["valid"], task, options, context)
        board = None
    while True:
        chosen = {CHOICE: trials[0].choice} if trials[0].choice else {}
        recipe = recipe.model_copy(update={"choices": {**context.choices, **chosen}})
        try:
            best = trials if board else refitted(trials, data, options, context)
            bundle = pack_trial(best, data, checks, recipe, context, board)
            if options.refit_full:
                bundle = on_all_rows(bundle, best[0], data, options, context)
            return bundle.with_members(rows)
        except ExportError as error:
            if len(trials) == 1:
                raise
            context.say(f"{trials[0].name} was left out: {error.what}", "warning")
            trials = trials[1:]


def refitted(
    trials: list[Trial], data: Dataset, options: FitOptions, context: Context
) -> list[Trial]:
    """Return the trials, the best one fitted once more on train and valid rows together.

    Not where the task was calibrated on the valid rows: what they promise holds only for a model
    that never saw them; nor where there are no test rows, as the model is then measured on them.
    """
    promised = options.calibrate and bool(data.task.promises)
    if not options.refit or promised or not len(data.splits["test"]):
        return trials
    seen = data.take(np.concatenate([data.splits["train"], data.splits["valid"]]))
    return [replace(trials[0], fitted=trials[0].fitted.refit(seen, context)), *trials[1:]]


def require_digits(data: Dataset, task: Task) -> None:
    """Refuse a number whose spread float32, in which graphs answer, cannot show.

    Raises:
        DataError: it varies too little around a large mean.
    """
    if not isinstance(task, Number):
        return
    y = data.targets(task)
    step = float(np.finfo(np.float32).eps) * float(np.abs(y).max())
    if 0.0 < float(y.std()) < 10 * step:
        raise DataError(
            f"The target {task.target!r} varies by {y.std():.3g} around {y.mean():.6g}: too little "
            "for the seven digits of float32.",
            where=Where(field=task.target),
            fix="Subtract a constant from it, and add it to the predictions.",
        )


def audit(data: Dataset, context: Context) -> CheckReport:
    """Check the data, and warn where metadata alone predicts the target."""
    report = check(data, context=context)
    if report.shortcuts is not None and report.flagged:
        context.say(report.shortcuts.verdict, "warning")
    return report


def split_like(data: Dataset, bundle: Bundle) -> Dataset:
    """Return the dataset split as it was when ``bundle`` was fitted on it."""
    options = FitOptions.parse(dict(bundle.manifest.lineage.config["fit"]))
    kept = require_trainable(data, drop_missing=options.drop_missing)
    return prepare_splits(kept, options)


def prepare_splits(data: Dataset, options: FitOptions) -> Dataset:
    """Return the dataset with the splits train, valid and test.

    Raises:
        DataError: there are too few rows to learn from, to choose by or to measure on.
    """
    if not {"train", "valid", "test"} <= set(data.splits):
        data = data.split(valid=options.valid, test=options.test, seed=options.seed)
    if "test" not in data.splits:
        data = data.with_splits({**data.splits, "test": np.empty(0, np.int64)})
    for name, least in LEAST.items():
        if name == "test" and not options.test and not len(data.splits[name]):
            continue
        if len(data.splits[name]) < least:
            raise DataError(
                f"The split {name!r} has {len(data.splits[name])} of {len(data)} rows; "
                f"at least {least} are needed.",
                fix="Gather more rows, or change the shares with valid= and test=.",
            )
    return data


def with_threshold(task: Task, options: FitOptions) -> Task:
    """Return the task with the decision threshold, or the costs, that were asked for."""
    if options.metric is not None and options.metric not in task.metrics:
        raise ConfigError(
            f"The task {task.name} has no metric {options.metric!r}."
            f"{suggest(options.metric, task.metrics)}",
            fix=f"Its metrics are: {', '.join(task.metrics)}.",
        )
    threshold = options.threshold
    if threshold is None and options.miss_cost is not None:
        threshold = threshold_for_costs(options.miss_cost)
    if threshold is None:
        return task
    if not isinstance(task, Binary | Detection):
        raise ConfigError(
            f"A threshold is for two classes, or for boxes; the task is {task.name}.",
            fix="Leave it out.",
        )
    return task.model_copy(update={"threshold": threshold})
