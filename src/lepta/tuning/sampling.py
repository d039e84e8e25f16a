"""Which parameters come next, and which trials are given up: functions of what was seen.

Nothing is kept from one trial to the next, so that a study that was killed goes on as it would
have gone on. TPE: Bergstra et al. 2011, with one density over all options (Falkner et al. 2018);
giving up: asynchronous successive halving (Li et al. 2020).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from lepta.core.space import Choice, Space, Spread

WARM_UP = 10
"""Trials at random before TPE has enough to go by."""
FACTOR = 3
"""One in so many trials goes on at each rung."""
_FIRST = 4
"""Trials that are never given up, so that there is something to compare with."""


class CountedSampler(BaseSampler):
    """TPE whose random numbers come from (seed, number of the trial, name of the option).

    Args:
        seed: of the study.
        warm_up: trials at random.
    """

    def __init__(self, seed: int, warm_up: int = WARM_UP) -> None:
        self._seed, self._warm_up = seed, warm_up

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._tpe(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._tpe(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        random = RandomSampler(seed=_seed(self._seed, trial.number, param_name))
        return random.sample_independent(study, trial, param_name, param_distribution)

    def _tpe(self, trial: FrozenTrial) -> TPESampler:
        return TPESampler(seed=_seed(self._seed, trial.number), n_startup_trials=self._warm_up)


def suggest(trial: optuna.Trial, name: str, spread: Spread) -> None:
    """Let a trial choose an option; values of a choice go by their position."""
    trial._suggest(name, distribution_of(spread))


def distribution_of(spread: Spread) -> BaseDistribution:
    """Return Optuna's form of what an option may be; values of a choice go by their position."""
    if isinstance(spread, Choice):
        return CategoricalDistribution(range(len(spread.options)))
    if spread.whole:
        step = 1 if spread.step is None else int(spread.step)
        return IntDistribution(int(spread.low), int(spread.high), log=spread.log, step=step)
    return FloatDistribution(spread.low, spread.high, log=spread.log, step=spread.step)


def to_optuna(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as Optuna keeps them."""
    out = {}
    for name, value in values.items():
        spread = space[name]
        if isinstance(spread, Choice):
            kinds = [(type(one), one) for one in spread.options]
            out[name] = kinds.index((type(value), value))
        else:
            out[name] = value
    return out


def from_optuna(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as a learner takes them, in the order of the space."""
    return {
        name: spread.options[params[name]] if isinstance(spread, Choice) else params[name]
        for name, spread in space.items()
        if name in params
    }


def place(spread: Spread, value: Any) -> float:
    """Return where in its range a value lies, from 0 to 1."""
    if isinstance(spread, Choice):
        kinds = [(type(one), one) for one in spread.options]
        return kinds.index((type(value), value)) / max(1, len(kinds) - 1)
    low, high, at = spread.low, spread.high, float(value)
    if spread.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low) if high > low else 0.5


def is_rung(step: int) -> bool:
    """Whether trials are compared after so many epochs: 1, 3, 9, 27 and so on."""
    while step > 1 and step % FACTOR == 0:
        step //= FACTOR
    return step == 1


def falls_behind(number: int, step: int, value: float, others: Sequence[FrozenTrial]) -> bool:
    """Return whether a trial is to be given up at a rung.

    Args:
        number: of the trial.
        step: epochs that it has had.
        value: its loss after them.
        others: all other trials.
    """
    if number < _FIRST:
        return False
    seen = [trial.intermediate_values.get(step, math.inf) for trial in others]
    known = [one for one in seen if math.isfinite(one)]
    better = sum(one < value for one in known)
    return better >= max(1, math.ceil((len(known) + 1) / FACTOR))


def importances(study: optuna.Study, space: Space, seed: int) -> dict[str, float]:
    """Return what share of the spread of losses each option explains (fANOVA, Hutter et al. 2014).

    Empty where there are too few trials to tell.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    losses = {trial.value for trial in done}
    varied = [n for n in space if len({repr(t.params.get(n)) for t in done}) > 1]
    if len(done) < 4 or len(losses) < 2 or not varied:
        return {}
    evaluator = FanovaImportanceEvaluator(n_trees=32, max_depth=16, seed=seed)
    found = get_param_importances(study, evaluator=evaluator, params=varied, target=_log_loss(done))
    return {name: float(share) for name, share in found.items()}


def _log_loss(done: Iterable[FrozenTrial]) -> Any:
    """Rank losses, so that one trial that went astray does not explain everything."""
    order = np.sort([trial.value for trial in done if trial.value is not None])
    return lambda trial: float(np.searchsorted(order, trial.value)) / len(order)


def _seed(*parts: object) -> int:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "little")
