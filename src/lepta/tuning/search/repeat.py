"""The outcome of a search as text, and the model made of it again."""

from __future__ import annotations

import json
import math
from typing import Any

from lepta.core.errors import BundleError
from lepta.core.events import Context
from lepta.engine import open_trials
from lepta.tasks import Task
from lepta.tuning.options import FitOptions
from lepta.tuning.search.board import Board, Entry
from lepta.tuning.search.ensemble import Weighted
from lepta.tuning.search.folding import Folds
from lepta.tuning.search.unit import Candidate, Fronts, fit_unit, open_bench

CHOICE = "search"
"""Name of the outcome among a recipe's choices."""


def bag_of(entry: Entry, board: Board, weight: float) -> list[int]:
    """Return the folds whose models make the model.

    Repeats only measure. What is large gives as many folds as its share of the bytes allows: each
    held-out row was scored by the model of one fold, so that more of them are a bonus.
    """
    folds = [fold for fold in range(board.folds.each) if fold in entry.models]
    room = max(1, int(weight * board.roomy // entry.size)) if entry.size else len(folds)
    return folds[:room]


def choice_of(weighted: Weighted, board: Board) -> str:
    """Return what was chosen, as JSON: candidates, folds, weights, temperatures."""
    parts = [
        {
            "learner": entry.candidate.learner,
            "settings": entry.candidate.settings,
            "folds": bag_of(entry, board, weight),
            "weight": weight,
            "temperature": heat,
        }
        for entry, weight, heat in zip(
            weighted.entries, weighted.weights, weighted.temperatures, strict=True
        )
    ]
    document = {"level": weighted.level, "temperature": weighted.temperature, "parts": parts}
    return json.dumps(document)


def repeat(
    choice: str, folds: Folds, task: Task, options: FitOptions, context: Context
) -> tuple[Board, Weighted]:
    """Fit what a search chose, and nothing else, with all the time that it takes.

    Raises:
        BundleError: ``choice`` is not what :func:`choice_of` writes.
        LeptaError: a candidate cannot be fitted any more.
    """
    board = Board.of(folds, task, options)
    document = _read(choice, len(folds.pairs))
    entries = [board.begin(Candidate(p["learner"], p["settings"])) for p in document["parts"]]
    units = [
        (entry, fold)
        for entry, part in zip(entries, document["parts"], strict=True)
        for fold in part["folds"]
    ]
    _fit_all(board, units, (folds, task, options, context.cache), context)
    level, heat = int(document["level"]), float(document["temperature"])
    found = Weighted(
        entries=tuple(entries),
        weights=tuple(float(part["weight"]) for part in document["parts"]),
        temperatures=tuple(float(part["temperature"]) for part in document["parts"]),
        temperature=heat,
        loss=0.0,
        level=level,
    )
    return board, found.measured(board.judge, board.rows(level))


def _fit_all(
    board: Board, units: list[tuple[Entry, int]], arguments: tuple[Any, ...], context: Context
) -> None:
    fronts = Fronts()
    waiting = list(enumerate(units))
    with (
        context.stage("search, repeated", total=len(units), unit="fit") as stage,
        open_trials(open_bench, arguments, workers=context.threads) as workers,
    ):
        done = 0
        while done < len(units):
            while workers.idle and waiting:
                key, (entry, fold) = waiting.pop(0)
                workers.submit(key, fit_unit, entry.candidate, fold, math.inf)
            for finished in workers.wait():
                if finished.error is not None:
                    raise finished.error
                entry, fold = units[finished.key]
                held = finished.value
                board.record(entry, fold, held, fronts.shared(held), finished.seconds)
                done += 1
                stage.advance()


def _read(choice: str, folds: int) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(choice)
        known = all(fold in range(folds) for part in document["parts"] for fold in part["folds"])
        if not known or not document["parts"] or not 1 <= document["level"] <= folds:
            raise ValueError("folds that there are not")
    except (ValueError, TypeError, KeyError) as error:
        raise BundleError(
            f"The bundle's search cannot be repeated: {error}.",
            fix="Fit anew, without the bundle.",
        ) from error
    return document
