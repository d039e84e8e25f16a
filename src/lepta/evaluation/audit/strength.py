"""How well metadata predicts the target, out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.schema import Role
from lepta.data import Dataset
from lepta.evaluation.audit.sources import Floats, Source
from lepta.evaluation.intervals import auroc_interval, bootstrap, quantile_of
from lepta.evaluation.intervals.auroc import midranks
from lepta.evaluation.measuring import group_codes
from lepta.tasks import Task
from lepta.tasks.metrics.numbers import r2
from lepta.tasks.metrics.ranking import auroc

Ints = NDArray[np.int64]
TREES = 80
_DISTINCT = 64


@dataclass(frozen=True)
class Strength:
    """How well one piece of metadata, or several together, predict the target.

    Attributes:
        name: what it is.
        family: label of its family; empty for several families together.
        measure: "AUC" (one against the rest, averaged, for more than two classes) or "R²".
        value: out of fold, or on the given test split.
        low: lower bound of the 95 % interval.
        high: upper bound.
        real: whether it is more than chance would give a clean dataset (level 2.5 %, corrected for
            the number of sources where they are taken one by one).
        sources: names of the sources used.
        on_test: the value when fitted on the other rows and scored on the given test split; None
            where there is no such split or it was not tried.
    """

    name: str
    family: str
    measure: str
    value: float
    low: float | None
    high: float | None
    real: bool
    sources: tuple[str, ...] = ()
    on_test: float | None = None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.measure} {self.value:.3f}"
        return f"{self.measure} {self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, eq=False)
class Ground:
    """What predictions are made of and held against.

    Attributes:
        task: what is predicted.
        y: class codes or numbers, (rows,).
        fold: number of the fold in which a row is held out, (rows,).
        groups: codes of groups, or None.
    """

    task: Task
    y: NDArray[Any]
    fold: Ints
    groups: Ints | None

    @property
    def measure(self) -> str:
        """Name of the figure."""
        return "AUC" if self.task.is_classification else "R²"

    @property
    def units(self) -> int:
        """Number of rows, or groups, that are independent."""
        return len(self.y) if self.groups is None else len(np.unique(self.groups))

    @cached_property
    def error(self) -> float:
        """Standard error of an AUC of 0.5 (Mann-Whitney)."""
        unit = np.arange(len(self.y)) if self.groups is None else self.groups
        codes = [1] if self.task.width == 2 else range(self.task.width)
        variances = []
        for code in codes:
            m = len(np.unique(unit[self.y == code]))
            n = len(np.unique(unit[self.y != code]))
            if m and n:
                variances.append((m + n + 1) / (12.0 * m * n))
        return float(np.sqrt(np.mean(variances) / len(variances)))

    @property
    def limit(self) -> float:
        """What chance alone stays below in 39 of 40 clean datasets of this size."""
        return 0.5 + quantile_of(0.95) * self.error if self.task.is_classification else 0.0

    def truth(self) -> Floats:
        """Return the target as columns: one a class, or the number."""
        if not self.task.is_classification:
            return np.asarray(self.y[:, None], np.float64)
        truth: Floats = (self.y[:, None] == np.arange(self.task.width)).astype(np.float64)
        return truth


def groups_of(data: Dataset) -> Ints | None:
    """Return the group code of each row; a row without a group is one of its own."""
    field = data.schema.one(Role.GROUP)
    return None if field is None else group_codes(data.column(field.name), len(data))


def make_folds(
    task: Task, y: NDArray[Any], groups: Ints | None, folds: int, seed: int
) -> Ints | None:
    """Return the fold of each row: classes spread evenly, groups kept whole.

    None where a class has fewer than two rows or groups.
    """
    unit = np.arange(len(y)) if groups is None else groups
    strata = y if task.is_classification else _tenths(y)
    fewest = min(len(np.unique(unit[strata == s])) for s in np.unique(strata))
    count = min(folds, fewest if task.is_classification else len(np.unique(unit)))
    if count < 2:
        return None
    rng = np.random.default_rng(seed)
    load = np.zeros((count, len(np.unique(strata))))
    _, code, sizes = np.unique(unit, return_inverse=True, return_counts=True)
    counts = np.zeros((len(sizes), load.shape[1]))
    np.add.at(counts, (code, np.unique(strata, return_inverse=True)[1]), 1)
    share = np.maximum(counts.sum(axis=0), 1)
    place = np.empty(len(sizes), np.int64)
    shuffled = rng.permutation(len(sizes))
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        cost = (((load + counts[group]) / share) ** 2 - (load / share) ** 2).sum(axis=1)
        place[group] = int(np.argmin(cost + 1e-9 * rng.random(count)))
        load[place[group]] += counts[group]
    return place[code]


def _tenths(y: NDArray[Any]) -> Ints:
    edges = np.unique(np.quantile(y, np.linspace(0.1, 0.9, 9)))
    return np.asarray(np.searchsorted(edges, y, side="right"), np.int64)


def alone(source: Source, ground: Ground) -> Floats:
    """Return out-of-fold predictions from one source: the mean target of rows like this one.

    Rows are alike when they share the category, the value, or (where values are many) the
    quantile bin; a missing value is like another.
    """
    codes = _bins(source)
    truth = ground.truth()
    predicted = np.empty_like(truth)
    for held in np.unique(ground.fold):
        seen = ground.fold != held
        prior = truth[seen].mean(axis=0)
        size = np.bincount(codes[seen], minlength=codes.max() + 1)[:, None]
        sums = np.zeros((len(size), truth.shape[1]))
        np.add.at(sums, codes[seen], truth[seen])
        predicted[~seen] = ((sums + 2 * prior) / (size + 2))[codes[~seen]]
    return predicted


def _bins(source: Source) -> Ints:
    values = source.values
    known = ~np.isnan(values)
    codes = np.zeros(len(values), np.int64)
    distinct, inverse = np.unique(values[known], return_inverse=True)
    if not source.is_category and len(distinct) > _DISTINCT:
        bins = int(np.clip(known.sum() // 20, 8, _DISTINCT))
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1]))
        inverse = np.searchsorted(edges, values[known], side="right")
    codes[known] = inverse + 1
    return codes


def together(
    sources: Sequence[Source], ground: Ground, seed: int, threads: int = 1, trees: int = TREES
) -> Floats:
    """Return out-of-fold predictions from several sources by extremely randomised trees."""
    predicted = np.empty((len(ground.y), ground.task.width))
    for held in np.unique(ground.fold):
        seen = ground.fold != held
        predicted[~seen] = fit_predict(sources, ground, seen, ~seen, seed, threads, trees)
    return predicted


def fit_predict(
    sources: Sequence[Source],
    ground: Ground,
    seen: NDArray[np.bool_],
    unseen: NDArray[np.bool_],
    seed: int,
    threads: int = 1,
    trees: int = TREES,
) -> Floats:
    """Fit trees on the rows ``seen`` and return their predictions for ``unseen``.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    except ModuleNotFoundError as error:
        raise missing_extra("scikit-learn", "train", "The shortcut audit") from error
    x = np.column_stack([_filled(source) for source in sources])
    options = {
        "n_estimators": trees,
        "min_samples_leaf": 2,
        "random_state": seed,
        "n_jobs": threads,
    }
    if not ground.task.is_classification:
        model = ExtraTreesRegressor(**options).fit(x[seen], ground.y[seen])
        return np.asarray(model.predict(x[unseen]))[:, None]
    model = ExtraTreesClassifier(**options).fit(x[seen], ground.y[seen])
    predicted = np.zeros((int(unseen.sum()), ground.task.width))
    predicted[:, model.classes_] = model.predict_proba(x[unseen])
    return predicted


def _filled(source: Source) -> Floats:
    """Return the values with what is missing below all others."""
    values = source.values
    known = values[~np.isnan(values)]
    low = known.min() if known.size else 0.0
    high = known.max() if known.size else 0.0
    return np.where(np.isnan(values), low - (high - low) - 1.0, values)


def judge(
    name: str,
    family: str,
    predicted: Floats,
    ground: Ground,
    *,
    real: bool | None = None,
    sources: tuple[str, ...] = (),
) -> Strength:
    """Hold predictions against the truth.

    Scores are ranked within their fold first, since folds have models of their own; under no
    association the area is then 0.5 whatever the folds hold.

    Args:
        name: what the predictions come from.
        family: its family.
        predicted: out-of-fold predictions.
        ground: the truth.
        real: whether it is more than chance, where that was tested; else by the interval.
        sources: names of the sources used.
    """
    if not ground.task.is_classification:
        value = r2(ground.y, predicted) or 0.0
        found = bootstrap([r2], ground.y, predicted, groups=ground.groups, resamples=400)["r2"]
        null = 0.0
    else:
        scores = _ranked(predicted, ground.fold)
        value = auroc(ground.y, scores) or 0.0
        found = auroc_interval(ground.y, scores, 0.95, ground.groups)
        null = 0.5
    return Strength(
        name,
        family,
        ground.measure,
        value,
        found.low if found else None,
        found.high if found else None,
        bool(found and found.low > null) if real is None else real,
        sources,
    )


def quick(predicted: Floats, ground: Ground) -> float:
    """Return the value that :func:`judge` gives, without an interval."""
    if not ground.task.is_classification:
        return r2(ground.y, predicted) or 0.0
    value = auroc(ground.y, _ranked(predicted, ground.fold))
    return 0.5 if value is None else value


def _ranked(scores: Floats, fold: Ints) -> Floats:
    ranked = np.empty_like(scores)
    for held in np.unique(fold):
        rows = fold == held
        for column in range(scores.shape[1]):
            ranked[rows, column] = (midranks(scores[rows, column]) - 0.5) / rows.sum()
    return ranked
