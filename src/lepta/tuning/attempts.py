"""One trial, in a worker: the learner with the options that were chosen, fitted and judged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lepta.core.events import Context, Event, StageAdvanced, StageFinished, silent
from lepta.data import Dataset
from lepta.engine import Line, tune_process
from lepta.models.front.shared import share_rows, shared_part
from lepta.models.learner import row_weights
from lepta.tasks import Task
from lepta.tuning.options import FitOptions

if TYPE_CHECKING:
    from lepta.tuning.candidates import Trial

_WATCHED = "training"
"""The stage whose epochs are watched."""
_REMEMBERED = 8
"""Prepared arrays that a worker keeps, beyond which it begins anew."""


@dataclass(frozen=True)
class Step:
    """A trial asks whether to go on, having had so many epochs."""

    epochs: int
    loss: float


@dataclass(frozen=True)
class Verdict:
    """A trial that has ended asks whether it is the best, so that its model is wanted."""

    loss: float


@dataclass(frozen=True)
class Attempt:
    """How a trial ended.

    Attributes:
        state: "ended", or "given up".
        loss: what is minimised.
        score: the metric as people read it.
        trial: the model, where it is wanted.
        choices: what was measured on this machine and used.
    """

    state: Literal["ended", "given up"]
    loss: float = float("inf")
    score: float = float("nan")
    trial: Trial | None = None
    choices: dict[str, str] = field(default_factory=dict)


@dataclass
class Bench:
    """What a worker keeps from trial to trial.

    Attributes:
        train, valid: rows.
        options: of each fit.
        metric: that trials are judged by.
        context: with preprocessing that is fitted once.
    """

    train: Dataset
    valid: Dataset
    task: Task
    options: FitOptions
    metric: str
    context: Context


class GivenUp(Exception):  # noqa: N818 - not an error
    """Ends a training from within its progress reports."""


def open_bench(
    data: Dataset, task: Task, options: FitOptions, metric: str, cache: Path | None
) -> Bench:
    """Return the state of a worker; ``data`` has the splits train and valid."""
    tune_process()
    context = Context(seed=options.seed, cache=cache, threads=options.threads)
    return _afresh(Bench(data["train"], data["valid"], task, options, metric, context))


def attempt(
    bench: Bench,
    line: Line,
    params: Mapping[str, Any],
    until: float | None,
    choices: Mapping[str, str],
) -> Attempt:
    """Fit with these options.

    Args:
        bench: the state of the worker.
        line: to the study.
        params: options that were chosen.
        until: ``time.time()`` at which it should be over (workers may be on other machines).
        choices: what was measured on this machine and is used.

    Raises:
        LeptaError: the learner cannot take the data or the options.
    """
    from lepta.tuning.candidates import try_learners

    if len(bench.context.memo or ()) > _REMEMBERED:
        _afresh(bench)
    context = replace(
        bench.context,
        report=Watch(line),
        deadline=None if until is None else time.monotonic() + until - time.time(),
        choices=dict(choices),
    )
    settings = {**bench.options.settings, **params}
    options = bench.options.model_copy(update={"settings": settings})
    names = (options.learner,)
    train = shared_part(context, 0)
    try:
        (trial,) = try_learners(names, train, bench.valid, bench.task, options, context)
    except GivenUp:
        return Attempt("given up", choices=context.choices)
    loss, score = judged(trial, bench, replace(context, report=silent))
    wanted = bool(line.ask(Verdict(loss)))
    return Attempt("ended", loss, score, trial if wanted else None, context.choices)


def judged(trial: Trial, bench: Bench, context: Context) -> tuple[float, float]:
    """Return what is minimised and the metric, on the valid rows."""
    metric = trial.fitted.task.metric(bench.metric)
    if bench.metric == ("log_loss" if bench.task.is_classification else bench.task.metrics[0]):
        return trial.loss, -trial.loss if metric.maximise else trial.loss
    y, known = bench.valid.targets(bench.task), row_weights(bench.valid, bench.task, balance=False)
    scores = trial.fitted.scores(bench.valid, context, trial.temperature)
    value = metric(y, scores, known)
    if value is None or not np.isfinite(value):
        return float("inf"), float("nan")
    return (-float(value) if metric.maximise else float(value)), float(value)


class Watch:
    """A reporter that asks, at each epoch, whether the trial is to go on.

    Only the first training of a trial is watched.

    Args:
        line: to the study.
    """

    def __init__(self, line: Line) -> None:
        self._line, self._over = line, False

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageFinished) and event.stage == _WATCHED:
            self._over = True
        if self._over or not isinstance(event, StageAdvanced) or event.stage != _WATCHED:
            return
        loss = event.values.get("valid_loss")
        if loss is not None and self._line.ask(Step(event.done, loss)):
            raise GivenUp


def _afresh(bench: Bench) -> Bench:
    """Forget prepared arrays; the preprocessing of each trial is fitted on the training rows."""
    whole = np.arange(len(bench.train))
    bench.context = share_rows(bench.context, bench.train, [whole])
    return bench
