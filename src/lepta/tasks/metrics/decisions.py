"""Metrics of answers: what is right once a class has been chosen.

With two classes the second one is the positive one and is answered from a threshold on its
probability. With more, the most probable class is answered, and precision, recall, F1 and
specificity are means over the classes that occur (macro average); there a class that occurs and
is never answered counts with precision 0.
"""

from __future__ import annotations

import numpy as np

from lepta.tasks.metrics.base import Array, Floats, Metric, Rule, both_classes, ratio


def answers(scores: Floats, threshold: float) -> Array:
    """Return the code of the class answered in each row."""
    probabilities = both_classes(scores)
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= threshold).astype(np.int64)
    return np.asarray(probabilities.argmax(axis=1))


def confusion(y: Array, answered: Array, classes: int) -> Array:
    """Return counts (true class, answered class) of class codes, (rows,) each."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (y, answered), 1)
    return table


class _Counts:
    """Weighted counts of each class, (k, classes) each."""

    def __init__(self, y: Array, scores: Floats, weights: Floats, threshold: float) -> None:
        answered = answers(scores, threshold)
        classes = np.arange(both_classes(scores).shape[1])
        true, said = y[:, None] == classes, answered[:, None] == classes
        self.hits = weights @ (true & said).astype(np.float64)
        self.true = weights @ true.astype(np.float64)
        self.said = weights @ said.astype(np.float64)
        self.total = weights.sum(axis=1)[:, None]


def _per_class(name: str, counts: _Counts) -> Floats:
    hits, true, said = counts.hits, counts.true, counts.said
    if name == "precision":
        return ratio(hits, said)
    if name == "recall":
        return ratio(hits, true)
    if name == "f1":
        return ratio(2 * hits, true + said)
    return ratio(counts.total - true - said + hits, counts.total - true)


def _rule(name: str) -> Rule:
    def rule(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
        counts = _Counts(y, scores, weights, threshold)
        values = _per_class(name, counts)
        if values.shape[1] == 2:
            return values[:, 1]
        if name == "precision":
            values = np.where(np.isnan(values), 0.0, values)
        occurs = (counts.true > 0) & ~np.isnan(values)
        return ratio(np.where(occurs, values, 0.0).sum(axis=1), occurs.sum(axis=1))

    return rule


def _accuracy(y: Array, scores: Floats, weights: Floats, threshold: float) -> Floats:
    return ratio(weights @ (answers(scores, threshold) == y), weights.sum(axis=1))


accuracy = Metric(
    "accuracy", "Accuracy", True, 0.0, 1.0, _accuracy, "Share of the rows answered right."
)
precision = Metric(
    "precision",
    "Precision",
    True,
    0.0,
    1.0,
    _rule("precision"),
    "Of the rows answered positive, the share that is.",
)
recall = Metric(
    "recall",
    "Recall (sensitivity)",
    True,
    0.0,
    1.0,
    _rule("recall"),
    "Of the positive rows, the share that was found.",
)
specificity = Metric(
    "specificity",
    "Specificity",
    True,
    0.0,
    1.0,
    _rule("specificity"),
    "Of the negative rows, the share left in peace.",
)
f1 = Metric("f1", "F1", True, 0.0, 1.0, _rule("f1"), "Harmonic mean of precision and recall.")
