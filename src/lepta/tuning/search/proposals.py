"""New settings for the learners that do best, by Optuna."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from lepta.core.errors import missing_extra
from lepta.core.space import Choice, Range, Space, default_of, space_of
from lepta.models.learner import LEARNERS
from lepta.tuning.search.board import Board, Entry
from lepta.tuning.search.unit import Candidate

_STARTUP = 6
"""Settings of a learner that are drawn at random before they are modelled."""
_CHANCES = (0.5, 0.3, 0.2)
"""How often the best, the second and the third learner are tried again."""


class Proposer:
    """Asks a study of each learner for settings, the learner chosen by how well it did.

    Args:
        learners: names of the learners that may be tuned.
        seed: of all random choices.
    """

    def __init__(self, learners: tuple[str, ...], seed: int) -> None:
        self._learners, self._seed = learners, seed
        self._rng = np.random.default_rng(seed)
        self._studies: dict[str, Any] = {}
        self._asked: dict[int, tuple[str, Any]] = {}
        self._told: set[int] = set()

    def propose(self, board: Board) -> Candidate | None:
        """Return a candidate that was not tried; None where no learner has options to search."""
        ranked = self._ranked(board)
        if not ranked:
            return None
        self._tell(board)
        chances = np.array(_CHANCES[: len(ranked)])
        place = int(self._rng.choice(len(chances), p=chances / chances.sum()))
        name = ranked[place]
        study, space = self._study(name, board), space_of(LEARNERS.get(name))
        trial = study.ask(distributions_of(space))
        settings = {key: space_value(space[key], value) for key, value in trial.params.items()}
        self._asked[len(board.entries)] = (name, trial)
        standing = ("best", "second-best", "third-best")[place]
        return Candidate(name, settings, f"{name} is {standing}; trial {trial.number} of it")

    def _ranked(self, board: Board) -> list[str]:
        """Return the learners that may be tuned and were usable, the best first."""
        names: list[str] = []
        for entry in board.ranked():
            name = entry.candidate.learner
            if name in self._learners and name not in names and space_of(LEARNERS.get(name)):
                names.append(name)
        return names[: len(_CHANCES)]

    def _study(self, name: str, board: Board) -> Any:
        if name not in self._studies:
            optuna = import_optuna()
            seed = self._seed + 1000 * self._learners.index(name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                sampler = optuna.samplers.TPESampler(
                    seed=seed, multivariate=True, n_startup_trials=_STARTUP, constant_liar=True
                )
            self._studies[name] = optuna.create_study(sampler=sampler)
            for entry in board.entries:
                if entry.candidate.learner == name and entry.losses:
                    self._add_known(name, entry)
        return self._studies[name]

    def _add_known(self, name: str, entry: Entry) -> None:
        """Tell a study of settings that it did not ask for, where its space holds them."""
        optuna = import_optuna()
        kind = LEARNERS.get(name)
        space = space_of(kind)
        distributions = distributions_of(space)
        given = entry.candidate.settings
        values = {key: given.get(key, default_of(kind, key)) for key in space}
        params = {key: stored_value(space[key], value) for key, value in values.items()}
        if all(_holds(distributions[key], value) for key, value in params.items()):
            self._studies[name].add_trial(
                optuna.trial.create_trial(
                    params=params, distributions=distributions, value=entry.losses[0]
                )
            )

    def _tell(self, board: Board) -> None:
        optuna = import_optuna()
        for number, (name, trial) in self._asked.items():
            entry = board.entries[number] if number < len(board.entries) else None
            if entry is None or number in self._told or not (entry.losses or entry.failure):
                continue
            self._told.add(number)
            loss = entry.losses.get(0, float("inf"))
            if np.isfinite(loss):
                self._studies[name].tell(trial, loss)
            else:
                self._studies[name].tell(trial, state=optuna.trial.TrialState.FAIL)


def import_optuna() -> Any:
    """Return Optuna, quiet.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise missing_extra("optuna", "automl", "Searching settings") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def distributions_of(space: Space) -> dict[str, Any]:
    """Return Optuna's distributions; a choice that is no number or text is kept by its place."""
    optuna = import_optuna()
    made: dict[str, Any] = {}
    for name, spread in space.items():
        if isinstance(spread, Choice):
            made[name] = optuna.distributions.CategoricalDistribution(
                [stored_value(spread, option) for option in spread.options]
            )
        elif spread.whole:
            step = 1 if spread.step is None else int(spread.step)
            made[name] = optuna.distributions.IntDistribution(
                int(spread.low), int(spread.high), log=spread.log, step=step
            )
        else:
            made[name] = optuna.distributions.FloatDistribution(
                spread.low, spread.high, log=spread.log, step=spread.step
            )
    return made


def stored_value(spread: Range | Choice, value: Any) -> Any:
    """Return a value in the form in which a study keeps it."""
    if isinstance(spread, Choice) and not isinstance(value, str | int | float | bool | None):
        return spread.options.index(value)
    return value


def space_value(spread: Range | Choice, stored: Any) -> Any:
    """Return the value that a study keeps as ``stored``."""
    if isinstance(spread, Choice) and stored not in spread.options:
        return spread.options[stored]
    return stored


def _holds(distribution: Any, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False
