"""New settings for the learners that do best, by Optuna."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optuna

from lepta.core.space import Choice, Space, Spread, default_of, space_of
from lepta.models.learner import LEARNERS
from lepta.tuning.sampling import distribution_of, from_optuna, to_optuna
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
        trial = study.ask({key: distribution_of(spread) for key, spread in space.items()})
        settings = from_optuna(space, trial.params)
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
        kind = LEARNERS.get(name)
        space, given = space_of(kind), entry.candidate.settings
        values = {key: given.get(key, default_of(kind, key)) for key in space}
        if _holds(space, values):
            self._studies[name].add_trial(
                optuna.trial.create_trial(
                    params=to_optuna(space, values),
                    distributions={key: distribution_of(one) for key, one in space.items()},
                    value=entry.losses[0],
                )
            )

    def _tell(self, board: Board) -> None:
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


def _holds(space: Space, values: dict[str, Any]) -> bool:
    """Whether a space holds all values: a default may lie outside of what is searched."""
    return all(_within(spread, values[name]) for name, spread in space.items())


def _within(spread: Spread, value: Any) -> bool:
    if isinstance(spread, Choice):
        return any(type(one) is type(value) and one == value for one in spread.options)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and spread.low <= value <= spread.high
