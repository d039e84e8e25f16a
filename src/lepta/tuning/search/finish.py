"""From the board to the model and its leaderboard."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from lepta.bundle import Bundle
from lepta.bundle.manifest import Manifest
from lepta.core.errors import ExportError
from lepta.core.events import Context
from lepta.data import Dataset
from lepta.evaluation.measuring import measure_one
from lepta.models.hybrid.blend import Blend
from lepta.models.learner import Fitted, to_onnx
from lepta.runtime.predictor import Predictor
from lepta.runtime.rows import to_columns
from lepta.tuning.candidates import Trial, with_best_threshold
from lepta.tuning.options import FitOptions
from lepta.tuning.packing import check_parity
from lepta.tuning.search.board import Board, Entry
from lepta.tuning.search.ensemble import Weighted, choose_weights, only
from lepta.tuning.search.repeat import bag_of, choice_of

_LISTED = 20
_MEASURED = 8
"""Rows of the leaderboard in all, and those with an interval."""


def trials_of(
    board: Board,
    chosen: Weighted,
    options: FitOptions,
    refit: Callable[[Fitted], Fitted] | None,
) -> list[Trial]:
    """Return the ensemble as a trial, or its heaviest candidate where it cannot be one graph.

    Args:
        board: of a search that has ended.
        chosen: the ensemble.
        options: of the fit.
        refit: fits a model once more on all rows; None where the models of the folds are kept.
    """
    try:
        return [_trial(board, chosen, options, refit)]
    except ExportError:  # two of them read a field in ways that do not go together
        best = only(board, chosen.entries[0], chosen.level)
        return [_trial(board, best, options, refit)]


def bagged(board: Board, weighted: Weighted) -> Fitted:
    """Return the weighted sum of the models of all folds as one model."""
    models: list[Fitted] = []
    weights: list[float] = []
    for entry, weight, heat in zip(
        weighted.entries, weighted.weights, weighted.temperatures, strict=True
    ):
        folds = bag_of(entry, board, weight)
        models += (entry.models[fold] for fold in folds)
        weights += [weight / heat / len(folds)] * len(folds)
    return Blend.of(models, weights)


def _trial(
    board: Board,
    weighted: Weighted,
    options: FitOptions,
    refit: Callable[[Fitted], Fitted] | None,
) -> Trial:
    fitted = bagged(board, weighted)
    rows, judge = board.rows(weighted.level), board.judge
    raw = weighted.raw(rows)
    known = None if judge.weights is None else judge.weights[rows]
    if judge.task.tuned:
        fitted = fitted.with_task(judge.task.calibrated(raw, judge.y[rows], known))
    elif refit is not None:
        fitted = refit(fitted)
    scores = fitted.task.finish(raw, weighted.temperature)
    fitted = fitted.with_task(
        with_best_threshold(fitted.task, options, judge.y[rows], scores, known)
    )
    return Trial(
        name=" + ".join(dict.fromkeys(entry.candidate.learner for entry in weighted.entries)),
        fitted=fitted,
        temperature=weighted.temperature,
        score=judge.score(raw, rows, weighted.temperature),
        loss=weighted.loss,
        seconds=round(sum(sum(e.seconds.values()) for e in weighted.entries), 2),
        unseen=(rows, scores),
        choice=choice_of(weighted, board),
    )


def leaderboard(
    board: Board, weighted: Weighted, trials: list[Trial], seconds: float
) -> list[dict[str, Any]]:
    """Return a row for the model and for each candidate, the best first.

    A row has learner, settings, score with its interval, loss, folds, seconds of fitting, weight
    in the model, and for the first ones, as far as it takes no more than ``seconds``, size (bytes)
    and latency of one row (ms) of the graph.
    """
    began = time.monotonic()
    weights = {e.number: w for e, w in zip(weighted.entries, weighted.weights, strict=True)}
    rows = [trials[0].summary() | {"weight": 1.0} | costs_of(trials[0].fitted, board.folds.rows)]
    for place, entry in enumerate(board.usable(weighted.level)[:_LISTED]):
        rows.append(_row(board, entry, weighted.level, weights.get(entry.number, 0.0)))
        if place < _MEASURED and (not place or time.monotonic() - began < seconds):
            rows[-1] |= _interval(board, entry, weighted.level)
    complete = {entry.number for entry in board.usable(weighted.level)}
    rows += [
        _row(board, entry, entry.level, 0.0)
        for entry in board.usable(1)
        if entry.number not in complete
    ][: max(0, _LISTED - len(rows))]
    rows += [
        {"learner": e.candidate.learner, "settings": e.candidate.settings, "failure": e.failure}
        for e in board.entries
        if e.failure
    ]
    return rows


def _row(board: Board, entry: Entry, level: int, weight: float) -> dict[str, Any]:
    one = only(board, entry, level)
    rows = board.rows(level)
    return {
        "learner": entry.candidate.learner,
        "settings": entry.candidate.settings,
        "score": board.judge.score(one.raw(rows), rows, one.temperature),
        "loss": one.loss,
        "rows": len(rows),
        "folds": len(entry.models),
        "seconds": round(sum(entry.seconds.values()), 2),
        "weight": round(weight, 4),
    }


def _interval(board: Board, entry: Entry, level: int) -> dict[str, Any]:
    """Return size, latency and the interval of the score of a candidate."""
    one, rows, judge = only(board, entry, level), board.rows(level), board.judge
    known = None if judge.weights is None else judge.weights[rows]
    scores = judge.task.finish(one.raw(rows), one.temperature)
    name = judge.metric or judge.task.metrics[0]
    found = measure_one(judge.task, name, judge.y[rows], scores, known)
    return {"low": found.low, "high": found.high} | costs_of(bagged(board, one), board.folds.rows)


def costs_of(fitted: Fitted, rows: Dataset) -> dict[str, Any]:
    """Return bytes of the graph, and the median time of one row in it, in milliseconds."""
    predictor = _predictor_of(fitted)
    columns, count = to_columns(rows.take(np.arange(1)).inputs(), predictor.signature)
    ((_, given),) = predictor.batches(columns, count)
    times = []
    for _ in range(25):
        began = time.perf_counter()
        predictor.session.run(None, given)
        times.append(time.perf_counter() - began)
    return {
        "bytes": len(predictor.bundle.read("model.onnx")),
        "milliseconds": round(1000 * float(np.median(times)), 4),
    }


def exportable(board: Board, chosen: Weighted, seed: int, context: Context) -> Weighted:
    """Return the ensemble without candidates whose graph differs from the training library.

    Raises:
        TrainError: none is left.
    """
    sound: set[int] = set()
    while True:
        for entry in chosen.entries:
            if entry.number not in sound and (problem := _problem(board, entry, context)):
                entry.failure = problem
                context.say(f"{entry.candidate} was left out: {problem}", "warning")
            sound.add(entry.number)
        if not any(entry.failure for entry in chosen.entries):
            return chosen
        chosen = choose_weights(board, seed)


def _problem(board: Board, entry: Entry, context: Context) -> str:
    """Return why a candidate cannot be exported; empty where it can."""
    fitted = bagged(board, only(board, entry, min(entry.level, board.folds.each)))
    alone = Trial(entry.candidate.learner, fitted, 1.0, 0.0, 0.0, 0.0)
    try:
        check_parity(_predictor_of(fitted), alone, board.folds.rows, context)
    except ExportError as error:
        return error.what
    return ""


def _predictor_of(fitted: Fitted) -> Predictor:
    graph = to_onnx(fitted).SerializeToString()
    manifest = Manifest(
        name="candidate",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=fitted.task,
        signature=fitted.front.signature(fitted.task),
    )
    bundle = Bundle(manifest, {"model.onnx": graph, **fitted.front.members})
    return Predictor(bundle, self_test=False)
