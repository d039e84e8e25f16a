"""Fields that give the target away: one field alone that predicts it all but perfectly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lepta.core.schema import Field, Kind, Role
from lepta.core.values import label_of
from lepta.data.assign import bins
from lepta.data.issues import Issue
from lepta.data.splits import codes_of

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_ROWS = 20_000
_LEAST = 20
_BINS = 64
_AUC = 0.995
_SOLVED = 0.95
_R2 = 0.995


def leaks(data: Dataset) -> Iterator[Issue]:
    """Yield input fields that nearly determine the target on their own.

    Of classes: an AUROC of 0.995 by rank, or 95 % of the errors of always answering the commonest
    class gone, by looking values up that were learned on the other half of the rows. Of numbers:
    R2 of 0.995 by such a look-up, or by a straight line.
    """
    target = data.schema.one(Role.TARGET)
    if target is None or target.kind not in (Kind.CATEGORY, Kind.NUMBER):
        return
    sample = np.random.default_rng(0).permutation(len(data))[:_ROWS]
    rows = data.take(np.sort(sample))
    for field in rows.schema.inputs:
        if field.kind not in (Kind.NUMBER, Kind.CATEGORY, Kind.DATETIME):
            continue
        how = _judge(rows, field, target)
        if how:
            yield Issue(
                code="gives_target_away",
                severity="warning",
                text=f"{field.name!r} alone predicts {target.name!r} all but perfectly ({how}).",
                where=field.name,
                fix="If it is not known before the target is, ignore it: "
                f"roles={{{field.name!r}: 'ignore'}}.",
            )


def _judge(data: Dataset, field: Field, target: Field) -> str:
    values = _values(data, field)
    if target.kind == Kind.NUMBER:
        goal = np.asarray(data.numpy(target.name), np.float64)
        known = np.isfinite(goal)
        return _judge_number(values[known], goal[known], field) if known.sum() >= _LEAST else ""
    labels = [label_of(value) for value in data.column(target.name)]
    known = np.array([label is not None for label in labels], bool)
    if known.sum() < _LEAST:
        return ""
    classes = np.unique([str(label) for label in labels], return_inverse=True)[1].astype(np.int64)
    return _judge_class(values[known], classes[known], field)


def _values(data: Dataset, field: Field) -> Floats:
    if field.kind == Kind.CATEGORY:
        return codes_of(data.table[field.name]).astype(np.float64)
    return np.asarray(data.numpy(field.name), np.float64)


def _judge_class(values: Floats, classes: Ints, field: Field) -> str:
    classes = np.unique(classes, return_inverse=True)[1]
    if classes.max(initial=0) == 0:
        return ""
    if field.kind != Kind.CATEGORY and classes.max() == 1:
        auc = rank_auc(values, classes)
        if max(auc, 1 - auc) >= _AUC:
            return f"AUROC {max(auc, 1 - auc):.3f}"
    codes = _look_up_codes(values, field)
    wrong, usual = _errors(codes, classes)
    if usual > 0 and 1 - wrong / usual >= _SOLVED:
        return f"accuracy {1 - wrong / len(classes):.1%}"
    return ""


def rank_auc(values: Floats, classes: Ints) -> float:
    """Return the AUROC of a number for class 1 against class 0; missing values rank lowest."""
    filled = np.where(np.isnan(values), -np.inf, values)
    _, inverse, counts = np.unique(filled, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    positive = int((classes == 1).sum())
    negative = len(classes) - positive
    if not positive or not negative:
        return 0.5
    total = float(ranks[classes == 1].sum())
    return (total - positive * (positive + 1) / 2.0) / (positive * negative)


def _look_up_codes(values: Floats, field: Field) -> Ints:
    _, codes = np.unique(values, return_inverse=True)
    if field.kind == Kind.CATEGORY or codes.max(initial=0) < _BINS:
        return codes.astype(np.int64)
    return bins(values, _BINS)


def _halves(count: int) -> tuple[Ints, Ints]:
    order = np.random.default_rng(1).permutation(count)
    return order[::2], order[1::2]


def _errors(codes: Ints, classes: Ints) -> tuple[int, int]:
    """Return errors of looking up, and of always answering the commonest class."""
    one, two = _halves(len(codes))
    wrong = usual = 0
    for learn, test in ((one, two), (two, one)):
        table = np.zeros((codes.max() + 1, classes.max() + 1))
        np.add.at(table, (codes[learn], classes[learn]), 1.0)
        common = table.sum(axis=0).argmax()
        answers = np.where(table.sum(axis=1) > 0, table.argmax(axis=1), common)
        wrong += int((answers[codes[test]] != classes[test]).sum())
        usual += int((classes[test] != common).sum())
    return wrong, usual


def _judge_number(values: Floats, goal: Floats, field: Field) -> str:
    total = float(((goal - goal.mean()) ** 2).sum())
    if total <= 0:
        return ""
    known = np.isfinite(values)
    if field.kind != Kind.CATEGORY and known.sum() >= max(_LEAST, 0.5 * len(values)):
        if np.array_equal(values[known], goal[known]):
            return "it is a copy"
        line = _line(values[known], goal[known])
        if line >= _R2:
            return f"R2 {line:.4f} by a straight line"
    r2 = 1 - _look_up_error(_look_up_codes(values, field), goal) / total
    return f"R2 {r2:.4f}" if r2 >= _R2 else ""


def _line(values: Floats, goal: Floats) -> float:
    if values.std() == 0 or goal.std() == 0:
        return 0.0
    return float(np.corrcoef(values, goal)[0, 1] ** 2)


def _look_up_error(codes: Ints, goal: Floats) -> float:
    one, two = _halves(len(codes))
    error = 0.0
    for learn, test in ((one, two), (two, one)):
        sums = np.bincount(codes[learn], goal[learn], minlength=codes.max() + 1)
        counts = np.bincount(codes[learn], minlength=codes.max() + 1)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), goal[learn].mean())
        error += float(((goal[test] - means[codes[test]]) ** 2).sum())
    return error
