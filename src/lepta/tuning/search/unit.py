"""One unit: a candidate fitted on one fold, in a worker."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import TrainError
from lepta.core.events import Context
from lepta.engine import tune_process
from lepta.models.front import Front
from lepta.models.front.shared import share_rows, shared_key, shared_part
from lepta.models.learner import Fitted
from lepta.tasks import Task
from lepta.tuning.options import FitOptions
from lepta.tuning.search.folding import Folds


@dataclass(frozen=True)
class Candidate:
    """A learner and its settings.

    Attributes:
        learner: registered name.
        settings: options of the learner, by dotted names, that are not the defaults.
        reason: why it is tried, in words.
    """

    learner: str
    settings: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    def __str__(self) -> str:
        shown = settings_text(self.settings)
        return f"{self.learner}({shown})" if shown else self.learner


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return settings as people read them: "leaves=64, learning_rate=0.05"."""
    return ", ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in settings.items()
    )


@dataclass(frozen=True)
class Held:
    """What a unit gives: the model, and the raw scores of the rows that were held out.

    Attributes:
        fitted: the model.
        raw: raw scores of the held-out rows, (rows, width).
        front: key of its preprocessing among those that the search shares; None for one of its own.
        size: roughly the bytes that the model adds to a graph.
    """

    fitted: Fitted
    raw: NDArray[np.float32]
    front: Hashable | None
    size: int


@dataclass
class Bench:
    """What a worker keeps between units: the rows by fold, and preprocessing as it is made."""

    folds: Folds
    task: Task
    options: FitOptions
    context: Context


def open_bench(folds: Folds, task: Task, options: FitOptions, cache: Any) -> Bench:
    """Return the state of a worker."""
    tune_process()
    context = Context(seed=options.seed, cache=cache, threads=1)
    parts = [positions for pair in folds.pairs for positions in pair]
    return Bench(folds, task, options, share_rows(context, folds.rows, parts))


def fit_unit(bench: Bench, candidate: Candidate, fold: int, seconds: float) -> Held:
    """Fit a candidate on a fold within ``seconds``, and score the held-out rows.

    Raises:
        LeptaError: it cannot take the data, or gave no finite scores.
    """
    from lepta.tuning.candidates import build_learner

    context = replace(bench.context, deadline=time.monotonic() + seconds)
    train, held = shared_part(context, 2 * fold), shared_part(context, 2 * fold + 1)
    options = bench.options.model_copy(
        update={"learner": candidate.learner, "settings": candidate.settings}
    )
    learner = build_learner(candidate.learner, options)
    unfit = learner.refusal(train.schema, bench.task)
    if unfit:
        raise TrainError(f"{candidate.learner} cannot take this data: {unfit}.")
    fitted = learner.fit(train, held, bench.task, context)
    raw = np.asarray(fitted.raw_of(held, context), np.float32)
    if not np.isfinite(raw).all():
        raise TrainError(f"{candidate} gave scores that are not finite.")
    size = 0 if fold else fitted.size  # of one fold is enough
    return Held(fitted, raw, shared_key(context, fitted.front), size)


class Fronts:
    """Preprocessing by key: models from several processes come to share it again."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Front] = {}

    def shared(self, held: Held) -> Fitted:
        """Return the model of a unit, reading the preprocessing that others read too."""
        fitted = held.fitted
        if held.front is not None:
            front = self._known.setdefault(held.front, fitted.front)
            object.__setattr__(fitted, "front", front)
        return fitted
