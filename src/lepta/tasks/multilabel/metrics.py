"""Metrics of rows with any number of labels. *Macro* is the mean over the labels that occur."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepta.tasks.metrics.base import Array, Floats, Metric, Rule, ratio
from lepta.tasks.metrics.ranking import Part, area, precision_mean

_HALF = np.array(0.5)


def _mean_defined(each: Floats) -> Floats:
    """Return means over the last axis of what is defined."""
    defined = ~np.isnan(each)
    return ratio(np.where(defined, each, 0.0).sum(axis=1), defined.sum(axis=1))


def _macro(part: Part) -> Rule:
    def rule(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
        columns = zip((y > 0).T, scores.T, strict=True)
        return _mean_defined(np.stack([part(p, s, weights) for p, s in columns], axis=1))

    return rule


def _f1(cuts: Array, *, macro: bool) -> Rule:
    def rule(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
        said, true = (scores >= cuts).astype(np.float64), (y > 0).astype(np.float64)
        hits, both = weights @ (said * true), weights @ (said + true)
        if not macro:
            return ratio(2 * hits.sum(axis=1), both.sum(axis=1))
        occurs = weights @ true > 0
        return _mean_defined(np.where(occurs, ratio(2 * hits, both), np.nan))

    return rule


def _share(cuts: Array, *, whole: bool) -> Rule:
    def rule(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
        wrong = (scores >= cuts) != (y > 0)
        rows = ~wrong.any(axis=1) if whole else wrong.mean(axis=1)
        return ratio(weights @ rows.astype(np.float64), weights.sum(axis=1))

    return rule


def _cuts(task: Any) -> Array:
    return np.asarray(task.cuts)


label_average_precision = Metric(
    "label_average_precision",
    "Mean average precision",
    True,
    0.0,
    1.0,
    _macro(precision_mean),
    "Precision averaged over all recalls of a label, then over the labels.",
)
label_auroc = Metric(
    "label_auroc",
    "AUROC, macro",
    True,
    0.0,
    1.0,
    _macro(area),
    "Chance that a row with a label scores above one without, averaged over the labels.",
)
macro_f1 = Metric(
    "macro_f1",
    "F1, macro",
    True,
    0.0,
    1.0,
    _f1(_HALF, macro=True),
    "Harmonic mean of precision and recall of a label, averaged over the labels.",
    tell=lambda task: _f1(_cuts(task), macro=True),
)
micro_f1 = Metric(
    "micro_f1",
    "F1, micro",
    True,
    0.0,
    1.0,
    _f1(_HALF, macro=False),
    "The same over all labels of all rows alike, so that frequent labels count most.",
    tell=lambda task: _f1(_cuts(task), macro=False),
)
subset_accuracy = Metric(
    "subset_accuracy",
    "Subset accuracy",
    True,
    0.0,
    1.0,
    _share(_HALF, whole=True),
    "Share of the rows whose labels are all right.",
    tell=lambda task: _share(_cuts(task), whole=True),
)
hamming_loss = Metric(
    "hamming_loss",
    "Hamming loss",
    False,
    0.0,
    1.0,
    _share(_HALF, whole=False),
    "Share of the labels that are wrong, over all rows.",
    tell=lambda task: _share(_cuts(task), whole=False),
)
