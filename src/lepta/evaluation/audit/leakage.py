"""The leakage audit: a single field that all but gives the target away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lepta.core.events import Context
from lepta.core.schema import Kind
from lepta.core.values import label_of
from lepta.data import Dataset
from lepta.data.split import group_codes
from lepta.evaluation.audit.sources import Source, category, number
from lepta.evaluation.audit.strength import Floats, Ground, alone, judge, make_folds
from lepta.evaluation.metrics.numbers import r2
from lepta.evaluation.metrics.ranking import auroc

ROWS = 20_000
SUSPICIOUS = 0.99
"""AUC or R² from which one field alone is too good to be true."""


@dataclass(frozen=True)
class Leak:
    """A field that predicts the target too well.

    Attributes:
        field: its name.
        measure: "AUC" or "R²".
        value: how well it predicts the target alone.
    """

    field: str
    measure: str
    value: float

    def __str__(self) -> str:
        return (
            f"{self.field!r} alone predicts the target with {self.measure} {self.value:.3f}. Is it "
            "known before the target is? If not, it gives the answer away."
        )


@dataclass(frozen=True)
class LeakageReport:
    """Fields that give the target away; ``looked_at`` names all that were tried."""

    target: str
    leaks: tuple[Leak, ...]
    looked_at: tuple[str, ...]

    def __str__(self) -> str:
        if not self.leaks:
            return f"no leak: none of {len(self.looked_at)} fields alone gives {self.target!r} away"
        return "\n".join(f"LEAK: {leak}" for leak in self.leaks)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON-able mapping."""
        return asdict(self)


def audit_leakage(data: Dataset, *, context: Context | None = None) -> LeakageReport:
    """Try to predict the target from each plain input field alone.

    Raises:
        SchemaError: there is no target.
        DataError: the target has fewer than two classes.
    """
    context = context or Context()
    target = data.task.target
    known = np.array([label_of(value) is not None for value in data.column(target)], bool)
    rows = np.flatnonzero(known)
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(context.seed).choice(rows, ROWS, replace=False))
    sample = data.take(rows)
    y, groups = sample.targets(), group_codes(sample)
    fold = make_folds(sample.task, y, groups, 5, context.seed)
    found = list(_fields(sample))
    names = tuple(source.name for source in found)
    if fold is None:
        return LeakageReport(target, (), names)
    ground = Ground(sample.task, y, fold, groups)
    tracked = context.track(found, "Looking for fields that give the target away", len(found))
    tried = [Leak(source.name, ground.measure, _strength(source, ground)) for source in tracked]
    leaks = [leak for leak in tried if leak.value >= SUSPICIOUS]
    return LeakageReport(target, tuple(sorted(leaks, key=lambda leak: -leak.value)), names)


def _fields(data: Dataset) -> Iterator[Source]:
    for field in data.schema.inputs:
        if field.kind in (Kind.NUMBER, Kind.DATETIME):
            source = number(field.name, "described", data.numpy(field.name).astype(np.float64))
        elif field.kind == Kind.CATEGORY:
            source = category(field.name, "described", data.column(field.name))
        else:
            continue
        if source is not None:
            yield source


def _strength(source: Source, ground: Ground) -> float:
    """Return the better of what like rows tell and what the bare order tells."""
    told = judge(source.name, "", alone(source, ground), ground).value
    return max(told, _in_order(source.values, ground)) if not source.is_category else told


def _in_order(values: Floats, ground: Ground) -> float:
    known = ~np.isnan(values)
    y = ground.y[known]
    if known.mean() < 0.9:
        return 0.0
    if not ground.task.is_classification:
        slope, offset = np.polyfit(values[known] - values[known].mean(), y, 1)
        line = slope * (values[known] - values[known].mean()) + offset
        return r2(y, line) or 0.0
    if ground.task.width > 2:
        return 0.0
    area = auroc(y, values[known]) or 0.5
    return max(area, 1.0 - area)
