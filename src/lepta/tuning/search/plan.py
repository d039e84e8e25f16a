"""Which unit comes next."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lepta.tasks import Task
from lepta.tuning.options import FitOptions
from lepta.tuning.search.board import Board, Entry
from lepta.tuning.search.ensemble import helpful
from lepta.tuning.search.folding import Folds
from lepta.tuning.search.unit import Candidate

if TYPE_CHECKING:
    from lepta.tuning.search.proposals import Proposer

OPENING = 0.4
"""Share of the time in which the list is gone through; what was not reached waits."""
_CAP = 0.3
"""Share of the time that one unit may take at the most."""
_NEAR = 0.10
"""Candidates of the list within this share of the best loss are completed."""
_SAME = 0.01
"""A proposal is completed while it is within this share of the best of its learner."""
_MOST = 6
"""Candidates of the list that are completed."""
_PART = 3
"""Part of the folds that all are to do before some do more."""
_WEIGH = 0.02
"""Share of the time between two looks at who helps the others."""
_CHEAP = 0.03
"""Share of the time left for which any candidate of the list is completed."""
_LEAST_SECONDS = 1.0


@dataclass(frozen=True)
class Unit:
    """What a worker is to do.

    Attributes:
        entry: the candidate.
        fold: the fold.
        seconds: time that it may take.
        reason: why it is done, in words.
    """

    entry: Entry
    fold: int
    seconds: float
    reason: str


def wants_refit(folds: Folds, task: Task, options: FitOptions) -> bool:
    """Return whether the model is fitted once more on all rows of the search, where it can be.

    Cross-validated models saw all rows between them; where the valid rows were held out from all
    models, they would else be lost to the model that ships.
    """
    return not folds.crossed and options.refit and not task.promises


def refit_seconds(entries: Sequence[Entry]) -> float:
    """Return how long it may take to fit candidates once more on somewhat more rows."""
    return 1.5 * sum(entry.cost for entry in entries)


@dataclass
class Planner:
    """Decides what the workers do: the list first, then its best on all folds, then proposals.

    Attributes:
        board: what is known.
        waiting: candidates of the list that were not begun.
        proposer: makes candidates when the list is done; None makes none.
        began, end: of the search, by ``time.monotonic()``.
        workers: how many units run at once.
        refit: whether the best is fitted once more on all rows before the end.
        running: units that run, as (number of the entry, fold).
        proposed: numbers of the entries that were proposed.
    """

    board: Board
    waiting: list[Candidate]
    proposer: Proposer | None
    began: float
    end: float
    workers: int
    refit: bool = False
    running: set[tuple[int, int]] = field(default_factory=set)
    proposed: set[int] = field(default_factory=set)
    _helpful: set[int] = field(default_factory=set)
    _weighed: tuple[float, int] = (0.0, 0)

    @property
    def left(self) -> float:
        """Seconds until the end, less what the refit of the best takes."""
        kept = refit_seconds(self.board.ranked()[:1]) if self.refit else 0.0
        return self.end - kept - time.monotonic()

    def next(self) -> Unit | None:
        """Return what to do next; None where nothing is worth it, or not before units end."""
        total, left = self.end - self.began, self.left
        if left < _LEAST_SECONDS:
            return None
        opened = self.board.usable(1)
        if self.waiting and (not opened or left > (1 - OPENING) * total):
            return self._open(self.waiting.pop(0), total)
        return (
            self._complete(left)
            or (self._open(self.waiting.pop(0), total) if self.waiting else None)
            or self._propose(total)
            or self._complete(left, everyone=True)
        )

    def _open(self, candidate: Candidate, total: float) -> Unit:
        entry = self.board.begin(candidate)
        seconds = max(_LEAST_SECONDS, min(self.left, _CAP * total))
        return Unit(entry, 0, seconds, candidate.reason)

    def _propose(self, total: float) -> Unit | None:
        if self.proposer is None:
            return None
        candidate = self.proposer.propose(self.board)
        if candidate is None:
            return None
        self.proposed.add(len(self.board.entries))
        return self._open(candidate, total)

    def _complete(self, left: float, *, everyone: bool = False) -> Unit | None:
        """Return the next fold of a candidate that is worth it and can be had in time.

        All that can be completed go on side by side: those that fall back are dropped early, and
        those that are added up have done the same folds. Repeats come when every row was held out.

        Args:
            left: seconds until the end.
            everyone: there is nothing better to do.
        """
        each, total = self.board.folds.each, len(self.board.folds.pairs)
        for most in sorted({-(-each // _PART), each, total}):
            chosen = self._affordable(most, left, everyone=everyone)
            if chosen:
                entry, fold = min(chosen, key=lambda pair: pair[1])
                seconds = min(left, max(5.0, 10 * entry.cost))  # what is cut cannot be repeated
                return Unit(entry, fold, seconds, f"{entry.candidate.learner} on all folds")
        return None

    def _affordable(
        self, most: int, left: float, *, everyone: bool = False
    ) -> list[tuple[Entry, int]]:
        """Return entries, the best first, that can be brought to ``most`` folds; and their next."""
        ranked = self.board.ranked()
        chosen: list[tuple[Entry, int]] = []
        spent = 0.0
        for place, entry in enumerate(ranked):
            fold = self._next_fold(entry, most)
            if fold is None or entry.cost * 1.1 > left:
                continue
            if not (everyone or self._worthy(entry, place, ranked[0])):
                continue
            spent += (most - entry.level) * entry.cost / self.workers
            if chosen and spent > left:
                break
            chosen.append((entry, fold))
        return chosen

    def _next_fold(self, entry: Entry, most: int) -> int | None:
        busy = {fold for number, fold in self.running if number == entry.number}
        for fold in range(most):
            if fold not in entry.models and fold not in busy:
                return fold
        return None

    def _worthy(self, entry: Entry, place: int, best: Entry) -> bool:
        if entry.number in self._helpers():
            return True
        if entry.number in self.proposed:
            return self._near_best_of_learner(entry)
        missing = (self.board.folds.each - entry.level) * entry.cost / self.workers
        if 0 < missing < _CHEAP * self.left:
            return True
        shared = max(1, min(entry.level, best.level))
        least = self.board.loss(best, shared)
        return place < _MOST and self.board.loss(entry, shared) <= least + _NEAR * abs(least)

    def _near_best_of_learner(self, entry: Entry) -> bool:
        rivals = [
            self.board.loss(rival, entry.level)
            for rival in self.board.usable(entry.level)
            if rival.candidate.learner == entry.candidate.learner and rival is not entry
        ]
        least = min(rivals, default=float("inf"))
        return self.board.loss(entry, entry.level) <= least + _SAME * abs(least)

    def _helpers(self) -> set[int]:
        """Return the candidates that the others gain by; it is looked at now and then."""
        moment, count = self._weighed
        known = sum(bool(entry.losses) for entry in self.board.entries)
        pause = _WEIGH * (self.end - self.began)
        if known and known != count and time.monotonic() - moment > pause:
            self._helpful = helpful(self.board, 0)
            self._weighed = (time.monotonic(), known)
        return self._helpful
