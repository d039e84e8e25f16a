"""The chosen model fitted once more on all rows, the test rows too, after it was measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lepta.bundle import Bundle
from lepta.core.events import Context
from lepta.data import Dataset
from lepta.evaluation.examples import example_files
from lepta.models.learner import Fitted, to_onnx
from lepta.runtime import Predictor
from lepta.tuning.candidates import Trial
from lepta.tuning.options import FitOptions
from lepta.tuning.packing import check_parity, shown

_REPLACED = ("model.onnx", "workshop/", "examples/", "tokenizer")


def on_all_rows(
    bundle: Bundle, trial: Trial, data: Dataset, options: FitOptions, context: Context
) -> Bundle:
    """Return the bundle with its model fitted once more on all rows; the metrics stay.

    What was chosen stays too: candidates, settings, weights, calibration, threshold.

    Args:
        bundle: of the model that was measured.
        trial: that model.
        data: with its splits.
        options: of the fit.
        context: progress; there is no deadline, the rows take the time they take.

    Raises:
        ExportError: the graph of the new model differs from it.
    """
    context = replace(context, deadline=None)
    again = replace(trial, fitted=_fitted(trial, data, options, context))
    fitted = again.fitted
    files = {**fitted.front.members, **fitted.workshop()}
    files["model.onnx"] = to_onnx(fitted, again.temperature).SerializeToString()
    kept = {name: bundle.read(name) for name in bundle.names if not name.startswith(_REPLACED)}
    note = (
        f"Fitted once more on all {len(data)} rows after it was measured: the metrics are those of "
        "the model before."
    )
    made = Bundle(
        bundle.with_manifest(
            signature=fitted.front.signature(fitted.task), notes=(*bundle.manifest.notes, note)
        ).manifest,
        {**kept, **files},
    )
    predictor = Predictor(made, threads=context.threads or 2)
    check_parity(predictor, again, data["valid"], context)
    return made.with_members(example_files(predictor, data[shown(data)], options.examples))


def _fitted(trial: Trial, data: Dataset, options: FitOptions, context: Context) -> Fitted:
    task = trial.fitted.task
    if not trial.choice:
        return trial.fitted.refit(data, context).with_task(task)
    from lepta.tuning.search.finish import bagged
    from lepta.tuning.search.folding import plan_folds
    from lepta.tuning.search.repeat import repeat

    everything = {"train": np.arange(len(data)), "valid": np.empty(0, np.int64)}
    folds = plan_folds(data.with_splits(everything), task, options.seed, given=False)
    if not folds.crossed:
        return trial.fitted.refit(data, context).with_task(task)
    board, chosen = repeat(trial.choice, folds, task, options, context)
    return bagged(board, chosen).with_task(task)
