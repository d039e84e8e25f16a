"""``tune``: the best options of one learner, by trials in worker processes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepta.bundle import Bundle
from lepta.core.errors import ConfigError, missing_extra, suggest
from lepta.core.events import Context, silent
from lepta.core.files import atomic_write
from lepta.data import Dataset, require_trainable
from lepta.data.splits import hash_of
from lepta.engine import tune_process
from lepta.engine.limits import usable_cores
from lepta.store import tracking
from lepta.tasks import Task
from lepta.tuning.fitting import (
    audit,
    outcome,
    plan_of,
    prepare_splits,
    refitted,
    require_digits,
    with_threshold,
)
from lepta.tuning.ledger import Ledger
from lepta.tuning.recipe import Recipe, pack_rows
from lepta.tuning.spaces import defaults_in, read_space, written
from lepta.tuning.tune_options import TuneOptions

if TYPE_CHECKING:
    from lepta.tuning.candidates import Trial

_MOST = 8
"""Workers at the most where nothing is said: beyond it trials learn too little from each other."""


def tune(
    data: Any = None,
    *,
    track: str | Sequence[str] = (),
    context: Context | None = None,
    **options: Any,
) -> Bundle:
    """Search the options of a learner for those that do best on unseen rows.

    Each trial fits the learner on the split train and is judged on valid; the best model is
    measured on test and packed as ``fit`` packs it, with the page ``tuning.html`` and the trials in
    ``tuning.json``. The first trial has the learner's own values, the next look around at random,
    the others follow what was seen (TPE); networks that fall behind are given up early. A study
    with a ``folder`` goes on after a kill: no trial is lost or counted twice, and with one worker
    it comes to the same end. Ctrl-C gives the best so far.

    Args:
        data: as in :func:`lepta.fit`.
        track: keep the study and each of its trials with these trackers: "mlflow", "wandb", ...
        context: progress reporter, cache.
        options: fields of :class:`~lepta.tuning.tune_options.TuneOptions`; ``space`` is a mapping
            of options to what they may be, or a YAML file of such:
            ``{"loop.learning_rate": "0.0003..0.03 log", "balance": [False, True]}``.

    Returns:
        The bundle of the best model; ``fit(from_bundle=...)`` makes the same one again.

    Raises:
        ConfigError: an option or the space does not read, or ``folder`` holds another study.
        DataError: the data is not fit for training.
        TrainError: no trial came to an end.
        MissingExtraError: Optuna (or Ray) is not installed.
    """
    context = context or Context()
    if not track:
        return _tune(data, options, context, None)
    plan = plan_of({key: value for key, value in options.items() if key != "space"})
    with (
        tracking(track, plan, context=context) as run,
        Ledger(track, plan, context) as ledger,
    ):
        made = _tune(data, options, run.context, ledger)
        run.finish(*outcome(made))
    return made


def _tune(data: Any, given: dict[str, Any], context: Context, ledger: Ledger | None) -> Bundle:
    began = time.monotonic()
    known = TuneOptions.model_fields
    reading = {key: given[key] for key in given if key not in known}
    options = TuneOptions.parse({key: given[key] for key in given if key in known})
    if not isinstance(data, Dataset):
        data = Dataset.read(data, context=context, **reading)
    elif reading:
        wrong = next(iter(reading))
        raise ConfigError(
            f"There is no option {wrong!r}.{suggest(wrong, known)}",
            fix=f"Options of tune: {', '.join(known)}.",
        )
    return Tuner(data, options, context, began, ledger).bundle()


class Tuner:
    """From data to the bundle of the best.

    Args:
        given: the data.
        options: of the study.
        context: progress reporter, cache.
        began: when the time began to run.
        ledger: keeps each trial; None keeps none.
    """

    def __init__(
        self,
        given: Dataset,
        options: TuneOptions,
        context: Context,
        began: float,
        ledger: Ledger | None = None,
    ) -> None:
        tune_process()
        from lepta.models.learner import LEARNERS
        from lepta.tuning.candidates import settle

        if options.checkpoint is not None:
            raise ConfigError("tune keeps no checkpoints.", fix="Name a folder= for the study.")
        self.options, self._ledger = options, ledger
        self._end = None if options.time is None else began + options.time
        data = require_trainable(given, drop_missing=options.drop_missing)
        self.data = require_trainable(prepare_splits(data, options))
        self.task = with_threshold(self.data.task, options)
        require_digits(self.data, self.task)
        name = self._learner(context)
        kind = LEARNERS.get(name)
        self.space = read_space(options.space, kind)
        self._first = defaults_in(self.space, kind)
        self.metric = metric_of(self.task, options.metric)
        workers, threads = shares(options)
        fit = options.for_fit(name).model_copy(update={"threads": threads})
        self.fit, self.context = settle(fit, (name,), replace(context, seed=options.seed))
        on_processor = self.fit.device.startswith(("auto", "cpu"))
        self.workers = workers if on_processor or options.workers else 1
        self.checks = audit(self.data, context) if options.audit else None
        self._rows = pack_rows(given, self.data, self.fit)

    def bundle(self) -> Bundle:
        """Search; return the bundle of the best."""
        from lepta.tuning.trial_loop import TrialLoop
        from lepta.tuning.tune_report import document, tuning_page

        with self._study() as study:
            loop = TrialLoop(self, study, self._end, self._ledger)
            trial, best = loop.run(), study.best
            assert best is not None  # noqa: S101
            if loop.packed is not None and loop.packed[0] == best.number:
                made = loop.packed[1]
            else:
                made = self.packed(trial, best.params, dict(study.noted("choices") or {}))
            records, importances = study.records(), study.importances()
        page = tuning_page(self.fit.name, self.metric, self.space, records, importances)
        members = {"tuning.html": page.encode(), "tuning.json": document(records, importances)}
        self._keep(members)
        return made.with_members({**members, **self._rows})

    def packed(
        self,
        trial: Trial,
        params: Mapping[str, Any],
        choices: dict[str, str],
        *,
        quiet: bool = False,
    ) -> Bundle:
        """Return the bundle of a model, as ``fit`` packs it.

        Args:
            trial: the model.
            params: options that were chosen for it.
            choices: what was measured on this machine and used.
            quiet: report no progress.
        """
        from lepta.tuning.packing import pack_trial

        fit = self.fit.model_copy(update={"settings": {**self.fit.settings, **params}})
        context = replace(self.context, choices=choices)
        if quiet:
            context = replace(context, report=silent)
        recipe = Recipe.of(self.data, fit, context).model_copy(update={"choices": choices})
        trials = refitted([trial], self.data, fit, context)
        return pack_trial(trials, self.data, self.checks, recipe, context)

    def _study(self) -> Any:
        try:
            from lepta.tuning.study import Study
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith("optuna"):
                raise
            raise missing_extra("optuna", "automl", "Tuning") from error
        seed, folder = self.options.seed, self.options.folder
        return Study(self.space, self._plan(), first=self._first, seed=seed, folder=folder)

    def _plan(self) -> dict[str, Any]:
        """Return what must be the same for a study to go on."""
        fit = self.fit.model_dump(mode="json", exclude={"name", "threads", "examples", "audit"})
        return {
            "dataset": self.data.fingerprint,
            "splits": {name: hash_of(self.data.splits[name]) for name in ("train", "valid")},
            "learner": fit.pop("learner"),
            "space": {name: written(spread) for name, spread in self.space.items()},
            "metric": self.metric,
            "pruning": self.options.pruning,
            "seed": fit.pop("seed"),
            "options": fit,
        }

    def _learner(self, context: Context) -> str:
        """Return the learner whose options are searched."""
        from lepta.tuning.candidates import choose_names

        names = choose_names(self.options, self.data.schema, self.task)
        if len(names) == 1:
            return names[0]
        name = "trees" if "trees" in names else names[-1]
        context.say(f"The options of {name} are searched; learner= names another.")
        return name

    def _keep(self, members: dict[str, bytes]) -> None:
        if self.options.folder is not None:
            for name, content in members.items():
                with atomic_write(Path(self.options.folder) / name) as stream:
                    stream.write(content)


def metric_of(task: Task, asked: str | None) -> str:
    """Return the name of the metric to choose by.

    Raises:
        ConfigError: the task has no such metric.
    """
    usual = "log_loss" if task.is_classification else task.metrics[0]
    known = dict.fromkeys((usual, *task.metrics))
    if asked is None or asked in known:
        return asked or usual
    raise ConfigError(
        f"The task {task.name} has no metric {asked!r}.{suggest(asked, known)}",
        fix=f"Choose from: {', '.join(known)}.",
    )


def shares(options: TuneOptions) -> tuple[int, int]:
    """Return how many workers there are, and the threads of each."""
    cores = options.threads or usable_cores()
    workers = options.workers or min(_MOST, cores)
    return workers, max(1, cores // workers)
