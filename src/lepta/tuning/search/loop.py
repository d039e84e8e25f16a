"""The loop of the search: units to workers, results to the board, until the time is over."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lepta.core.errors import LeptaError, TrainError
from lepta.core.events import Context, Stage
from lepta.core.schema import ARRAYS
from lepta.engine import open_trials
from lepta.engine.limits import usable_cores
from lepta.engine.trials import Finished, Trials
from lepta.tasks import Task
from lepta.tuning.candidates import build_learner
from lepta.tuning.options import FitOptions
from lepta.tuning.search.board import Board
from lepta.tuning.search.folding import Folds
from lepta.tuning.search.plan import Planner, Unit, wants_refit
from lepta.tuning.search.portfolio import TUNED, portfolio
from lepta.tuning.search.unit import Fronts, fit_unit, open_bench

if TYPE_CHECKING:
    from lepta.tuning.search.proposals import Proposer

_LOOK = 0.5
"""Seconds between two looks at the clock."""
_GRACE = 1.5
"""Seconds that a unit may overrun, in which learners stop by themselves."""
_WARM = 0.7
"""Share of the time that must be left to prepare files for one more learner."""
_PATIENCE = 150
"""Proposals without a better candidate after which to stop."""


class Search:
    """One search.

    Args:
        folds: the rows and how they are held out.
        task: what is learned.
        options: of the fit.
        context: its ``deadline`` is when the search ends; there must be one.
    """

    def __init__(self, folds: Folds, task: Task, options: FitOptions, context: Context) -> None:
        assert context.deadline is not None  # noqa: S101
        rows = folds.rows
        self.folds, self.task, self.options, self.context = folds, task, options, context
        self.board = Board.of(folds, task, options)
        self.workers = min(usable_cores(), options.threads or usable_cores())
        self.planner = Planner(
            self.board,
            portfolio(rows.schema, task, len(rows)),
            self._proposer(),
            time.monotonic(),
            context.deadline,
            self.workers,
            wants_refit(folds, task, options),
        )
        self._units: dict[int, tuple[Unit, float]] = {}
        self._fronts = Fronts()
        self._keys = 0

    def _proposer(self) -> Proposer | None:
        if find_spec("optuna") is None:
            self.context.say("Settings are not tuned without Optuna: pip install 'lepta[automl]'.")
            return None
        import optuna

        from lepta.tuning.search.proposals import Proposer

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return Proposer(TUNED, self.options.seed)

    def run(self) -> Board:
        """Search until the time is over, nothing gets better, or the user interrupts.

        Raises:
            TrainError: no candidate could be fitted.
        """
        arguments = (self.folds, self.task, self.options, self.context.cache)
        total = round(self.planner.left)
        with (
            self.context.stage("search", total=total, unit="s") as stage,
            open_trials(
                open_bench,
                arguments,
                engine=self.options.engine,
                workers=self.workers,
                **({"address": self.options.address} if self.options.address else {}),
            ) as workers,
        ):
            try:
                self._warm()
                self._first(stage)
                self._loop(workers, stage)
            except KeyboardInterrupt:
                self.context.say("Interrupted: the best so far is packed.", "warning")
            if not self.board.usable(1):
                self._rescue(stage)
        if not self.board.usable(1):
            reasons = [f"{e.candidate}: {e.failure}" for e in self.board.entries if e.failure]
            raise TrainError(
                f"No candidate could be fitted in time. {' '.join(reasons[:3])}".strip(),
                fix="Give more time, or look at the data with `lepta check`.",
            )
        return self.board

    def _warm(self) -> None:
        """Decode files and compute features once, with all threads, while the first list waits."""
        if any(field.kind in ARRAYS for field in self.folds.rows.schema.inputs):
            for name in dict.fromkeys(c.learner for c in self.planner.waiting):
                if self.planner.left > _WARM * (self.planner.end - self.planner.began):
                    with suppress(LeptaError):  # its fit will say what is wrong
                        build_learner(name, self.options).warm(self.folds.rows, self.context)

    def _rescue(self, stage: Stage) -> None:
        """Fit the first candidate that can be fitted, though the time is over: better late."""
        self.context.say("There was no time for a model; the cheapest one is fitted all the same.")
        for candidate in portfolio(self.folds.rows.schema, self.task, len(self.folds.rows)):
            self._here(Unit(self.board.begin(candidate), 0, math.inf, "better late"), stage)
            if self.board.usable(1):
                return

    def _first(self, stage: Stage) -> None:
        """Fit the cheapest candidate here, while the workers are still starting."""
        unit = self.planner.next()
        if unit is not None:
            self._here(unit, stage)

    def _here(self, unit: Unit, stage: Stage) -> None:
        """Do a unit in this process."""
        stage.note(f"{unit.entry.candidate} ({unit.reason})")
        stage.advance(0)
        from threadpoolctl import threadpool_limits

        bench = open_bench(self.folds, self.task, self.options, self.context.cache)
        began = time.monotonic()
        try:
            with threadpool_limits(1):  # as in a worker, so that a repeat gives the same bits
                value, error = fit_unit(bench, unit.entry.candidate, unit.fold, unit.seconds), None
        except Exception as raised:  # a library's own: a worker would report it too
            value, error = None, raised
        self._record(unit, Finished(0, value, error, time.monotonic() - began))

    def _loop(self, workers: Trials, stage: Stage) -> None:
        shown = 0
        while self.planner.left > 0 and not self._idle_for_long():
            while workers.idle and (unit := self.planner.next()) is not None:
                self._submit(workers, unit)
            if not self._units:
                break
            for finished in workers.wait(min(_LOOK, max(self.planner.left, 0.01))):
                self._take(finished)
            self._stop_late(workers)
            passed = int(time.monotonic() - self.planner.began)
            stage.note(self._note())
            stage.advance(max(passed - shown, 0), **self._figures())
            shown = max(passed, shown)

    def _submit(self, workers: Trials, unit: Unit) -> None:
        self._keys += 1
        self._units[self._keys] = (unit, time.monotonic())
        self.planner.running.add((unit.entry.number, unit.fold))
        workers.submit(self._keys, fit_unit, unit.entry.candidate, unit.fold, unit.seconds)

    def _take(self, finished: Finished) -> None:
        unit, _ = self._units.pop(finished.key)
        self._record(unit, finished)

    def _record(self, unit: Unit, finished: Finished) -> None:
        entry = unit.entry
        self.planner.running.discard((entry.number, unit.fold))
        if finished.error is not None:
            entry.failure = entry.failure or str(finished.error)
            if unit.fold == 0 and entry.number not in self.planner.proposed:
                what = getattr(finished.error, "what", str(finished.error))
                self.context.say(f"{entry.candidate} was left out: {what}", "warning")
            return
        held = finished.value
        fitted = self._fronts.shared(held)
        self.board.record(entry, unit.fold, held, fitted, finished.seconds)

    def _stop_late(self, workers: Trials) -> None:
        now = time.monotonic()
        for key, (unit, began) in self._units.items():
            if key <= self.workers:  # its time begins when the worker has started
                continue
            if now - began > unit.seconds * 1.1 + _GRACE and not unit.entry.failure:
                unit.entry.failure = f"it took more than {unit.seconds:.0f} s"
                workers.cancel(key)

    def _idle_for_long(self) -> bool:
        """Whether the last proposals brought nothing better."""
        best = self.board.ranked()[:1]
        return bool(best) and len(self.board.entries) - best[0].number > _PATIENCE

    def _note(self) -> str:
        units = [unit for unit, _ in self._units.values()]
        return f"next: {units[-1].entry.candidate} ({units[-1].reason})" if units else ""

    def _figures(self) -> dict[str, float]:
        tried = sum(bool(entry.losses) for entry in self.board.entries)
        figures = {"tried": float(tried)}
        for best in self.board.ranked()[:1]:
            figures["loss"] = self.board.loss(best, best.level)
        return figures
