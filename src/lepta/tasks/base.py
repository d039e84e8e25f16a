"""The contract of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from lepta.core.errors import DataError, Where
from lepta.core.schema import Field, Kind
from lepta.tasks.metrics import METRICS, Metric


class OutputSpec(BaseModel):
    """One output of a model's graph: its tensor name, NumPy dtype and shape (-1 = rows)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    dtype: str
    shape: tuple[int, ...]

    def empty(self, rows: int, free: int = 0) -> NDArray[Any]:
        """Return zeros for ``rows`` rows; other free sizes are ``free``."""
        sizes = (free if size < 0 else size for size in self.shape[1:])
        return np.zeros((rows, *sizes), self.dtype)


class GraphBuilder(Protocol):
    """What a task needs to write its last step into an ONNX graph (``lepta.models.graph``)."""

    def const(self, value: Any, dtype: str = "") -> str:
        """Add a constant and return its name."""

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""

    def ops(
        self, kind: str, outputs: int, *inputs: str, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with several outputs and return their names."""


class Task(BaseModel, ABC):
    """What a model predicts.

    A model ends in *raw scores* (logits, values). :meth:`finish` turns them into *scores*, which
    the graph gives (:meth:`emit` is the same step in ONNX); :meth:`decide` turns scores into
    *answers*, which people read.

    Attributes:
        name: the task's registered name.
        target: name of the target field.
        objective: "package.module:Class" of the :class:`~lepta.tasks.objective.Objective` that
            networks minimise; imported by what trains, never by what predicts.
        metrics: names of the metrics to report; the first one is the metric to select by.
        maximise: whether more is better of that metric.
        is_classification: whether there is one class a row, and scores are class probabilities.
        one_answer: whether there is one label or number a row; audits and tabular learners need it.
        by_group: whether only the order within groups of rows means something, so that truth is
            (rows, 2): what :meth:`encode` gives, and the code of the group.
        bounded: whether scores lie between 0 and 1.
        tuned: whether :meth:`calibrated` learns from the validation rows.
        promises: whether what it learns promises something (coverage, a rate of false alarms)
            that holds only if the model never saw these rows.
        follows_groups: whether rows of a group are told apart by time, so that it may stand in
            several splits, as a user whose next items are recommended.
        one_sided: splits that may hold rows of one class only, as a task needs no other there.
        target_kind: kind that the target is read as, whatever its values look like.
        learners: learners to try when none is named, those of them that can take the inputs; empty:
            by the kinds of the inputs.
        report: import string of a tuple of plots ("module:PLOTS"), where the task has its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    target: str
    objective: ClassVar[str] = ""
    metrics: ClassVar[tuple[str, ...]]
    maximise: ClassVar[bool]
    is_classification: ClassVar[bool] = False
    one_answer: ClassVar[bool] = True
    by_group: ClassVar[bool] = False
    bounded: ClassVar[bool] = False
    tuned: ClassVar[bool] = False
    promises: ClassVar[bool] = False
    follows_groups: ClassVar[bool] = False
    one_sided: ClassVar[tuple[str, ...]] = ()
    target_kind: ClassVar[Kind | None] = None
    learners: ClassVar[tuple[str, ...]] = ()
    report: ClassVar[str] = ""

    @classmethod
    def suits(cls, field: Field) -> bool:
        """Return whether this is the task of predicting ``field`` when no other is named."""
        return False

    @classmethod
    def of(cls, field: Field, **options: Any) -> Self:
        """Return the task of predicting ``field``.

        Raises:
            SchemaError: the field is of a kind that the task cannot predict.
            DataError: there is nothing to tell apart.
        """
        return cls(target=field.name, **options)

    @property
    @abstractmethod
    def width(self) -> int:
        """Columns of the score matrix."""

    @property
    def raw_width(self) -> int:
        """Columns of the raw scores that a model ends in; a network may need more to learn."""
        return self.width

    @abstractmethod
    def encode(self, values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
        """Turn target values into what a learner fits: class codes (int64), float64, or arrays.

        Raises:
            DataError: a value is missing or is not one of the classes (row and field named).
        """

    @abstractmethod
    def output(self) -> OutputSpec:
        """Return the tensor that the graph must end in: float32, rows first."""

    def finish(self, raw: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float32]:
        """Turn raw scores into scores; logits are divided by ``temperature``."""
        return np.asarray(raw, np.float32)

    def emit(self, graph: GraphBuilder, raw: str, temperature: float = 1.0) -> str:
        """Add :meth:`finish` to a graph; return the name of the scores."""
        return raw

    def calibrated(
        self, raw: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> Self:
        """Return the task with what it learns from raw scores of validation rows; see ``tuned``."""
        return self

    @property
    def reading(self) -> dict[str, Any]:
        """Options (``task_options``) that read other rows as the training rows were read."""
        return {}

    def metric(self, name: str) -> Metric:
        """Return the metric called ``name``, told of this task where it must know it."""
        found: Metric = METRICS.get(name)
        return found.told(self)

    @abstractmethod
    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Turn scores into answers, one a row."""

    @abstractmethod
    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the columns of a prediction table, in order, ``prediction`` first."""

    def check(self, y: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return truth and scores fit for measuring.

        Raises:
            DataError: shapes do not fit, a score is not finite, or a truth is impossible.
        """
        matrix = np.asarray(scores, np.float64)
        if matrix.shape != (len(y), self.width):
            raise DataError(
                f"The scores have shape {matrix.shape}; {len(y)} rows of this task need "
                f"({len(y)}, {self.width})."
            )
        require_finite(matrix)
        return y, matrix

    def row_errors(self, y: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64] | None:
        """Return how wrong each row is, 0 for not at all; None where that says nothing."""
        return None

    def pictures(self, scores: NDArray[Any]) -> list[bytes] | None:
        """Return the answer of each row as a PNG file, where answers are maps; else None."""
        return None

    def answer_schema(self) -> dict[str, Any]:
        """Return the JSON schema of ``prediction`` in a row of :meth:`columns`."""
        return {"type": "number"}

    def gap(self, one: NDArray[Any], other: NDArray[Any]) -> float:
        """Return the largest difference between scores of the same shapes, computed twice."""
        if one.dtype == object:
            return max((self.gap(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
        return float(np.abs(one - other).max(initial=0.0))

    def describe(self) -> str:
        """Return what is predicted, in words: "a number in EUR"."""
        return "a number"


def require_finite(scores: NDArray[Any]) -> None:
    """Refuse scores (rows, ...) that are not finite.

    Raises:
        DataError: the first such row is named.
    """
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=tuple(range(1, scores.ndim))))
    if bad.size:
        raise DataError(
            f"The model gave a score that is not a number in {bad.size} row(s).",
            where=Where(row=int(bad[0]) + 1),
            fix="Look at that row's inputs; a missing value may have gone through the model.",
        )
