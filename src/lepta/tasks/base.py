"""The contract of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict


class OutputSpec(BaseModel):
    """One output of a model's graph: its tensor name, NumPy dtype and shape (-1 = rows)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    dtype: str
    shape: tuple[int, ...]


class Task(BaseModel, ABC):
    """What a model predicts. Scores are what the graph gives; answers are what people read.

    Attributes:
        name: the task's registered name.
        target: name of the target field.
        objective: "package.module:Class" of the :class:`~lepta.tasks.objective.Objective` that
            networks minimise; imported by what trains, never by what predicts.
        metrics: names of the metrics to report; the first one is the metric to select by.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    target: str
    objective: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    maximise: ClassVar[bool]
    is_classification: ClassVar[bool]

    @property
    @abstractmethod
    def width(self) -> int:
        """Columns of the score matrix."""

    @abstractmethod
    def encode(self, values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
        """Turn target values into what a learner fits: class codes (int64) or float64.

        Raises:
            DataError: a value is missing or is not one of the classes (row and field named).
        """

    @abstractmethod
    def output(self) -> OutputSpec:
        """Return the tensor that the graph must end in: float32 of shape (-1, width)."""

    @abstractmethod
    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Turn scores (rows, width) into answers (rows,): class labels or numbers."""

    @abstractmethod
    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the columns of a prediction table, in order, ``prediction`` first."""
