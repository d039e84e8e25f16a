"""What is tried first: a short list by the shape of the data, and from measurements.

The list comes from ``benchmarks/portfolio.py``: configurations that did best on public tables,
each family's strongest first.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from lepta.core.schema import ARRAYS, Kind, Schema
from lepta.models.front.front import PLAIN
from lepta.models.learner import LEARNERS
from lepta.tasks import Task
from lepta.tuning.search.unit import Candidate

Settings = dict[str, Any]

_CALM: Settings = {"depth": 6, "learning_rate": 0.08, "noise": 0.3, "l2": 8.0, "columns": 0.6}
_LEAFWISE: Settings = {"extra": False, "learning_rate": 0.06, "columns": 0.5}

TABLES: tuple[tuple[str, Settings], ...] = (
    ("linear", {}),
    ("trees", {}),
    ("catboost", {}),
    ("kernel", {}),
    ("leaf-linear", {}),
    ("tabm", {}),
    ("trees", {"leaves": 64, "min_rows": 3, "columns": 1.0}),
    ("catboost", _CALM),
    ("xgboost", {}),
    ("kernel", {"pieces": 16}),
    ("trees", {**_LEAFWISE, "leaves": 15, "min_rows": 20}),
    ("kernel", {"kernel": "gauss", "relevance": True}),
    ("spline", {}),
    ("extra-trees", {}),
    ("trees", {**_LEAFWISE, "leaves": 63, "min_rows": 20}),
    ("residual", {}),
)
"""For plain fields, in the order in which they are tried."""

_FEW_ROWS = {"kernel": 20_000, "tabm": 60_000, "extra-trees": 60_000}
"""Rows up to which a learner is tried: beyond, others are better in the same time."""

_SMALL: Settings = {"pool": True, "stages": 4}
_BRIEF: Settings = {**_SMALL, "loop.epochs": 4, "loop.learning_rate": 4e-3}
"""A residual network that is fast, and the same trained for a short while: a first model."""

MEDIA: dict[Kind, tuple[tuple[str, Settings], ...]] = {
    Kind.IMAGE: (("resnet", _BRIEF), ("transfer", {}), ("resnet", _SMALL), ("finetune", {})),
    Kind.TEXT: (("bag", {}), ("transfer", {}), ("neural", {})),
    Kind.AUDIO: (("neural", {}),),
    Kind.VOLUME: (("neural", {}),),
    Kind.SERIES: (("neural", {}),),
}
"""For fields of other kinds."""

TUNED = (
    "trees",
    "catboost",
    "xgboost",
    "kernel",
    "tabm",
    "extra-trees",
    "leaf-linear",
    "spline",
    "forecast-trees",
)
"""Learners whose options are searched once the list is done."""


NEEDS = {"catboost": "catboost", "xgboost": "xgboost"}
"""Packages, beside those of ``lepta[train]``, that a learner cannot do without."""


def portfolio(schema: Schema, task: Task, rows: int) -> list[Candidate]:
    """Return the candidates that can take the data, in the order in which they are tried."""
    kinds = {field.kind for field in schema.inputs}
    names: list[tuple[str, Settings]] = []
    for kind, entries in MEDIA.items():
        if kind in kinds:
            names += [entry for entry in entries if entry not in names]
    if kinds & set(PLAIN):
        names = [*names, *TABLES] if not kinds & ARRAYS else [*names, *TABLES[:3]]
    if task.learners:
        names = [(name, {}) for name in task.learners]
    known = LEARNERS.names()
    return [
        Candidate(name, dict(settings), "first of its family")
        for name, settings in names
        if name in known
        and rows <= _FEW_ROWS.get(name, rows)
        and (name not in NEEDS or find_spec(NEEDS[name]) is not None)
        and not LEARNERS.get(name)().refusal(schema, task)
    ]
