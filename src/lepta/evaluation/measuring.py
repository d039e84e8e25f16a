"""Measure every metric of a task, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lepta.bundle.manifest import Measured
from lepta.core.errors import ConfigError, DataError
from lepta.evaluation.intervals import (
    Interval,
    auroc_interval,
    bootstrap,
    decision_interval,
    spread_out,
)
from lepta.tasks import Task
from lepta.tasks.classification import Classification
from lepta.tasks.metrics import Metric
from lepta.tasks.metrics.base import Array, Floats
from lepta.tasks.metrics.decisions import confusion


@dataclass(frozen=True, eq=False)
class Sample:
    """Checked arrays: truth (rows, ...), scores (rows, ...), group codes and weights or None."""

    task: Task
    y: Array
    scores: Array
    groups: NDArray[np.int64] | None
    weights: Floats | None

    @property
    def threshold(self) -> float:
        """Probability from which the positive class is answered; 0.5 where there is none."""
        return float(getattr(self.task, "threshold", 0.5))


def measure(
    task: Task,
    y: ArrayLike,
    scores: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    level: float = 0.95,
    seed: int = 0,
    split: str = "test",
) -> tuple[Measured, ...]:
    """Return the metrics that ``task`` names, in its order, with confidence intervals.

    Args:
        task: what was predicted.
        y: class codes or numbers as ``task.encode`` gives them, (rows,).
        scores: what the model answered, (rows, width).
        groups: group of each row (patients, speakers), any values; a missing one is a group of
            its own. Intervals then treat groups, not rows, as independent.
        weights: weight of each row, not negative.
        level: confidence level of the intervals.
        seed: seed of the resampling.
        split: name of the split, kept in the result.

    Raises:
        DataError: lengths differ, a score is not finite, a class code does not exist.
        ConfigError: ``level`` is not between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise ConfigError(f"The confidence level is between 0 and 1, not {level}.")
    sample = read_sample(task, y, scores, groups, weights)
    metrics = [task.metric(name) for name in task.metrics]
    found = _intervals(metrics, sample, level, seed)
    return tuple(_measured(metric, sample, found[metric.name], split) for metric in metrics)


def measure_one(
    task: Task,
    name: str,
    y: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None = None,
    seed: int = 0,
) -> Measured:
    """Return one metric with its 95 % interval; see :func:`measure`."""
    sample, metric = read_sample(task, y, scores, None, weights), task.metric(name)
    found = _intervals([metric], sample, 0.95, seed)
    return _measured(metric, sample, found[name], "")


def _intervals(
    metrics: list[Metric], sample: Sample, level: float, seed: int
) -> dict[str, Interval | None]:
    found: dict[str, Interval | None] = {}
    for metric in metrics:
        interval = _analytic(metric, sample, level)
        if interval is not None:
            found[metric.name] = interval
    found |= bootstrap(
        [metric for metric in metrics if metric.name not in found],
        sample.y,
        sample.scores,
        groups=sample.groups,
        weights=sample.weights,
        threshold=sample.threshold,
        level=level,
        seed=seed,
    )
    return found


def read_sample(
    task: Task,
    y: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> Sample:
    """Check the arrays of a measurement.

    Raises:
        DataError: they do not fit together.
    """
    truth = np.asarray(y)
    if not len(truth):
        raise DataError(
            "There is no row to measure on.", fix="Choose a split that has rows, or split anew."
        )
    checked, matrix = task.check(truth, np.asarray(scores))
    return Sample(
        task,
        checked,
        matrix,
        group_codes(groups, len(truth)),
        _weights(weights, len(truth)),
    )


def group_codes(groups: Any, rows: int) -> NDArray[np.int64] | None:
    """Return a code per row, equal within a group; None where every row is alone.

    A missing group (None, NaN) is a group of its own.

    Raises:
        DataError: there is not one group a row.
    """
    if groups is None:
        return None
    values = list(groups)
    if len(values) != rows:
        raise DataError(f"There are {len(values)} groups for {rows} rows.")
    codes: dict[Any, int] = {}
    keys = [
        ("", row) if value is None or value != value else value  # noqa: PLR0124
        for row, value in enumerate(values)
    ]
    return spread_out(np.array([codes.setdefault(key, len(codes)) for key in keys]), rows)


def _weights(weights: ArrayLike | None, rows: int) -> Floats | None:
    if weights is None:
        return None
    values = np.asarray(weights, np.float64)
    if values.shape != (rows,) or not np.isfinite(values).all() or (values < 0).any():
        raise DataError(
            "Weights are one number a row, finite and not negative.",
            fix="Mend the weight column, or give it the role 'ignore'.",
        )
    if not values.any():
        raise DataError("All weights are 0.", fix="Mend the weight column.")
    return None if (values == values[0]).all() else values


def _analytic(metric: Metric, sample: Sample, level: float) -> Interval | None:
    if sample.weights is not None or not sample.task.is_classification:
        return None
    if metric.name == "auroc":
        return auroc_interval(sample.y, sample.scores, level, sample.groups)
    if sample.groups is not None:
        return None
    if not isinstance(sample.task, Classification):
        return None
    table = confusion(sample.y, sample.task.codes(sample.scores), sample.task.width)
    return decision_interval(metric.name, table, level)


def _measured(metric: Metric, sample: Sample, interval: Interval | None, split: str) -> Measured:
    value = metric(sample.y, sample.scores, sample.weights, threshold=sample.threshold)
    if value is None or interval is None:
        return Measured(name=metric.name, value=value, n=len(sample.y), split=split)
    return Measured(
        name=metric.name,
        value=value,
        low=interval.low,
        high=interval.high,
        n=len(sample.y),
        split=split,
        method=interval.method,
    )
