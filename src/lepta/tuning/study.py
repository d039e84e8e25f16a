"""The trials of a study: which have been, which comes next and why; kept so that none is lost.

Optuna proposes and keeps, in a journal file that is only ever appended to. A trial that was running
when the process died is found there with its number and parameters, and is run again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, TrialState

from lepta.core.errors import ConfigError, Where
from lepta.core.files import write_text
from lepta.core.space import Space
from lepta.tuning.sampling import (
    WARM_UP,
    CountedSampler,
    falls_behind,
    from_optuna,
    importances,
    place,
    suggest,
    to_optuna,
)

JOURNAL, PLAN, LOCK = "journal.log", "study.json", "lock"
_NAME = "lepta"
_NEAR = 0.02
"""Part of its range by which an option may move and still count as the same."""
_STATES: dict[TrialState, Literal["ended", "given up", "failed", "unfinished"]] = {
    TrialState.COMPLETE: "ended",
    TrialState.PRUNED: "given up",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "unfinished",
    TrialState.WAITING: "unfinished",
}


@dataclass(frozen=True)
class Record:
    """A trial of a study.

    Attributes:
        number: from 0.
        params: options that were tried.
        state: "ended", "given up" (it fell behind others), "failed", or "unfinished" (it runs, or
            was cut off; it is run again when the study goes on).
        loss: what is minimised, of one that ended; of one that was given up the last that it had.
        curve: loss after so many epochs, where it was reported.
        why: why it was tried.
        facts: what else is known: "score", "seconds", "cpu_seconds", "error".
    """

    number: int
    params: dict[str, Any]
    state: Literal["ended", "given up", "failed", "unfinished"]
    loss: float | None
    curve: dict[int, float] = field(default_factory=dict)
    why: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class Study:
    """Trials over a space, the least loss being the best.

    Args:
        space: what is searched.
        plan: what the study is of (data, learner, options); a folder holds one study only.
        first: parameters of the first trial; None leaves them to chance.
        seed: of all random numbers.
        folder: where it is kept, and goes on from; None keeps it in memory.
        warm_up: trials at random, before the others go by what was seen.

    Raises:
        ConfigError: the folder holds another study, or another process works on it.
    """

    def __init__(
        self,
        space: Space,
        plan: Mapping[str, Any],
        *,
        first: Mapping[str, Any] | None = None,
        seed: int = 0,
        folder: Path | None = None,
        warm_up: int = WARM_UP,
    ) -> None:
        self.space, self._seed, self._warm_up = space, seed, warm_up
        self._first = first
        self._held = contextlib.ExitStack()
        storage: BaseStorage = InMemoryStorage()
        if folder is not None:
            self._held.enter_context(_alone(folder))
            try:
                storage = _opened(folder, plan)
            except BaseException:
                self.close()
                raise
        with _quiet():
            self._study = optuna.create_study(
                study_name=_NAME,
                storage=storage,
                sampler=CountedSampler(seed, warm_up),
                pruner=optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
        self._trials: dict[int, optuna.Trial] = {}
        self._left = [
            trial
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state == TrialState.RUNNING
        ]
        self.resumed = len(self._left)
        if first is not None and not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial(to_optuna(space, first))

    def close(self) -> None:
        """Let others work on the folder."""
        self._held.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __len__(self) -> int:
        """How many trials have begun, those to be run again not counted."""
        return sum(
            trial.state != TrialState.WAITING for trial in self._study.get_trials(deepcopy=False)
        ) - len(self._left)

    def ask(self) -> Record:
        """Begin a trial: first those that a kill has interrupted, then new ones."""
        if self._left:
            found = self._left.pop(0)
            trial = optuna.Trial(self._study, found._trial_id)
            again = "run again, as it was interrupted"
        else:
            trial, again = self._study.ask(), ""
        for name, spread in self.space.items():
            suggest(trial, name, spread)
        self._trials[trial.number] = trial
        params = from_optuna(self.space, trial.params)
        why = again or self._why(trial.number, params)
        return Record(trial.number, params, "unfinished", None, why=why)

    def report(self, number: int, step: int, loss: float) -> bool:
        """Keep a loss on the way; return whether to give the trial up."""
        everybody = self._study.get_trials(deepcopy=False)
        if step not in everybody[number].intermediate_values:
            self._trials[number].report(loss, step)
        others = [trial for trial in everybody if trial.number != number]
        return falls_behind(number, step, loss, others)

    def end(self, number: int, loss: float, **facts: Any) -> None:
        """Keep how a trial ended."""
        self._tell(number, TrialState.COMPLETE, loss, facts)

    def give_up(self, number: int, **facts: Any) -> None:
        """Keep that a trial was given up."""
        self._tell(number, TrialState.PRUNED, None, facts)

    def fail(self, number: int, error: str, **facts: Any) -> None:
        """Keep that a trial failed."""
        self._tell(number, TrialState.FAIL, None, facts | {"error": error})

    @property
    def best(self) -> Record | None:
        """The trial of the least loss, the first of those that are equal."""
        ended = [record for record in self.records() if record.state == "ended"]
        return min(ended, key=lambda record: (record.loss, record.number), default=None)

    def records(self) -> list[Record]:
        """Return all trials that have begun, in the order of their numbers."""
        return [
            self._record(trial)
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state != TrialState.WAITING
        ]

    def note(self, key: str, value: Any) -> None:
        """Keep a JSON value with the study."""
        self._study.set_user_attr(key, value)

    def noted(self, key: str) -> Any:
        """Return what was kept under a key, or None."""
        return self._study.user_attrs.get(key)

    def importances(self) -> dict[str, float]:
        """Return what share of the differences in loss each option explains, largest first."""
        return importances(self._study, self.space, self._seed)

    def _tell(
        self, number: int, state: TrialState, loss: float | None, facts: Mapping[str, Any]
    ) -> None:
        trial = self._trials.pop(number)
        trial.set_user_attr("facts", dict(facts))
        with _quiet():
            self._study.tell(trial, loss, state=state)

    def _record(self, trial: FrozenTrial) -> Record:
        facts = dict(trial.user_attrs.get("facts", {}))
        loss = trial.value if trial.state == TrialState.COMPLETE else None
        if trial.state == TrialState.PRUNED and trial.intermediate_values:
            loss = trial.intermediate_values[max(trial.intermediate_values)]
        return Record(
            trial.number,
            from_optuna(self.space, trial.params),
            _STATES[trial.state],
            loss,
            dict(trial.intermediate_values),
            str(trial.user_attrs.get("why", "")),
            facts,
        )

    def _why(self, number: int, params: Mapping[str, Any]) -> str:
        if number == 0 and self._first is not None:
            why = "the learner's own values"
        elif (best := self.best) is None or self._judged() < self._warm_up:
            why = f"at random, to look around ({self._judged()} of {self._warm_up} seen)"
        else:
            why = f"near trial {best.number}, the best, with {self._moves(best.params, params)}"
        self._trials[number].set_user_attr("why", why)
        return why

    def _judged(self) -> int:
        return sum(
            trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            for trial in self._study.get_trials(deepcopy=False)
        )

    def _moves(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
        """Say which options differ the most."""
        far = {
            name: abs(place(spread, new[name]) - place(spread, old[name]))
            for name, spread in self.space.items()
        }
        most = sorted((n for n in far if far[n] > _NEAR), key=lambda n: -far[n])[:2]
        told = [f"{name} {brief(new[name])} instead of {brief(old[name])}" for name in most]
        return " and ".join(told) or "small changes"


def brief(value: Any) -> str:
    """Return a value as a person reads it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


class _NoLock(BaseJournalFileLock):
    """The folder is locked as a whole."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder; whoever holds it loses it by ending, however that happens.

    Raises:
        ConfigError: somebody else holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as stream:
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except OSError as error:
            raise ConfigError(
                "Another process works on this study.",
                where=Where(file=str(folder)),
                fix="Wait for its end, or take another folder.",
            ) from error
        yield


def _opened(folder: Path, plan: Mapping[str, Any]) -> BaseStorage:
    """Return what keeps the study, after what a kill left half written is cut off."""
    text = json.dumps(plan, indent=1, sort_keys=True, ensure_ascii=False)
    journal, about = folder / JOURNAL, folder / PLAN
    if about.exists():
        _require_same(json.loads(about.read_text(encoding="utf-8")), json.loads(text), folder)
    else:
        write_text(about, text)
    if journal.exists():
        with journal.open("rb+") as stream:
            stream.truncate(stream.read().rfind(b"\n") + 1)
            os.fsync(stream.fileno())
    return JournalStorage(JournalFileBackend(str(journal), lock_obj=_NoLock()))


def _require_same(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            raise ConfigError(
                f"The folder holds a study of another {name}.",
                where=Where(file=str(folder / PLAN)),
                fix="Go on with the same data, learner, options, space and seed, or take another "
                "folder.",
            )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from writing to standard error."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
