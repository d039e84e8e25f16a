"""From the best trial to a bundle: graph, parity, metrics, report, card, examples."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lepta
from lepta.bundle import Bundle, Lineage, Manifest
from lepta.core.errors import ExportError
from lepta.core.events import Context
from lepta.data import Dataset
from lepta.evaluation import CheckReport, Evaluation, evaluate, model_card
from lepta.evaluation.examples import example_files
from lepta.models.learner import to_onnx
from lepta.runtime import Predictor
from lepta.tuning.candidates import Trial
from lepta.tuning.recipe import Recipe

PARITY = 1e-4
"""Largest difference accepted between the graph and the training library, in probability or in
the target's standard deviation."""
_PARITY_ROWS = 64


def pack_trial(
    trials: list[Trial],
    data: Dataset,
    checks: CheckReport | None,
    recipe: Recipe,
    context: Context,
    board: list[dict[str, Any]] | None = None,
) -> Bundle:
    """Return the bundle of the best trial, measured on the test rows.

    Where there are none, it is measured on the rows that were held out while it was chosen.
    ``board`` is the leaderboard, where more is known than the trials tell.

    Raises:
        ExportError: the graph's scores differ from the training library's.
    """
    best, options = trials[0], recipe.fit
    with context.stage("packing", total=4, unit="step") as stage:
        model = to_onnx(best.fitted, best.temperature).SerializeToString()
        manifest = _manifest(trials, data, recipe)
        members = {**best.fitted.front.members, **best.fitted.workshop()}
        bundle = Bundle(manifest, {"model.onnx": model, **members})
        predictor = Predictor(bundle, threads=context.threads or 2)
        stage.advance()
        check_parity(predictor, best, data["valid"], context)
        stage.advance()
        evaluation = _measured(predictor, best, data, options.seed, context)
        stage.advance()
        board = board or [trial.summary() for trial in trials]
        bundle = _document(bundle, evaluation, checks, board)
        bundle = bundle.with_members(
            {
                "profile.json": _json(data["train"].profile()),
                **example_files(predictor, data[shown(data)], options.examples),
            }
        )
        stage.advance()
    return bundle


def _manifest(trials: list[Trial], data: Dataset, recipe: Recipe) -> Manifest:
    best = trials[0]
    return Manifest(
        name=recipe.fit.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=best.fitted.task,
        signature=best.fitted.front.signature(best.fitted.task),
        lineage=Lineage(
            dataset=data.fingerprint,
            rows={name: len(rows) for name, rows in data.splits.items()},
            config={
                "learner": best.name,
                "temperature": best.temperature,
                **recipe.dump(),
            },
            version=lepta.__version__,
            seed=recipe.fit.seed,
        ),
    )


def shown(data: Dataset) -> str:
    """Return the split that examples come from: the test rows where there are some."""
    return "test" if len(data.splits["test"]) else "valid"


def _measured(
    predictor: Predictor, trial: Trial, data: Dataset, seed: int, context: Context
) -> Evaluation:
    if len(data.splits["test"]):
        return evaluate(predictor, data["test"], seed=seed, context=context)
    if trial.unseen is None:
        return evaluate(predictor, data["valid"], seed=seed, split="valid", context=context)
    rows, scores = trial.unseen
    searched = data.take(np.concatenate([data.splits["train"], data.splits["valid"]]))
    return evaluate(
        predictor,
        searched.take(rows),
        seed=seed,
        split="out-of-fold",
        scores=scores,
        context=context,
    )


def check_parity(predictor: Predictor, trial: Trial, valid: Dataset, context: Context) -> None:
    """Refuse a graph whose scores differ from the training library's.

    Raises:
        ExportError: they do, on some of the ``valid`` rows.
    """
    rows = valid.take(np.arange(min(_PARITY_ROWS, len(valid))))
    fitted = trial.fitted
    wanted = fitted.scores(rows, context, trial.temperature)
    got = predictor.scores(rows.inputs())
    if _shapes(got) != _shapes(wanted):
        raise ExportError("The exported graph gives scores of another shape than the model.")
    flat = _flat(wanted)
    scale = 1.0 if fitted.task.bounded else float(np.std(flat)) or 1.0
    gap = fitted.task.gap(wanted, got) / scale
    rounding = 4 * float(np.finfo(np.float32).eps) * float(np.abs(flat).max(initial=0.0)) / scale
    if not gap <= PARITY + rounding:
        raise ExportError(
            f"The exported graph differs from the trained model by {gap:.2g} (accepted: {PARITY}).",
            fix="Try another learner, and report this with the data's schema.",
        )


def _shapes(scores: NDArray[Any]) -> list[tuple[int, ...]]:
    return [row.shape for row in scores]


def _flat(scores: NDArray[Any]) -> NDArray[np.float32]:
    """Return scores of any shape, one after the other."""
    if scores.dtype != object:
        return scores.ravel()
    return np.concatenate([np.ravel(row) for row in scores])


def _document(
    bundle: Bundle,
    evaluation: Evaluation,
    checks: CheckReport | None,
    board: list[dict[str, Any]],
) -> Bundle:
    """Add the metrics, and what a person should know."""
    notes = evaluation.notes
    if checks is not None and checks.shortcuts is not None and checks.flagged:
        notes = (*notes, checks.shortcuts.verdict)
    bundle = bundle.with_manifest(metrics=evaluation.metrics, notes=notes)
    return bundle.with_members(
        {
            "report.html": evaluation.html(checks=checks).encode(),
            "card.md": model_card(bundle.manifest, evaluation, checks).encode(),
            "leaderboard.json": _json(board),
        }
    )


def _json(document: Any) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode()
