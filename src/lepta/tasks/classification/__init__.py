"""Binary and multi-class classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option
from pydantic import model_validator

from lepta.core.errors import DataError, SchemaError, Where, suggest
from lepta.core.schema import Field, Kind
from lepta.core.values import label_of
from lepta.tasks.base import GraphBuilder, OutputSpec, Task

PROBABILITIES = "probabilities"


class Classification(Task):
    """What binary and multi-class have in common: an ordered list of classes."""

    classes: tuple[str, ...] = Option(min_length=2)

    objective: ClassVar[str] = "lepta.tasks.classification.objective:CrossEntropy"
    maximise: ClassVar[bool] = True
    is_classification: ClassVar[bool] = True
    bounded: ClassVar[bool] = True
    target_kind: ClassVar[Kind | None] = Kind.CATEGORY

    @classmethod
    def of(cls, field: Field, **options: Any) -> Self:
        if field.kind != Kind.CATEGORY:
            raise SchemaError(
                f"A target of kind {field.kind.value!r} has no classes.",
                where=Where(field=field.name),
                fix=f"Name another target, or give kinds={{{field.name!r}: 'category'}}.",
            )
        if len(field.classes) < 2:
            known = f"only the class {field.classes[0]!r}" if field.classes else "no value"
            raise DataError(
                f"The target {field.name!r} has {known}; there is nothing to tell apart.",
                where=Where(field=field.name),
                fix="Add rows of another class, or name another target.",
            )
        return cls(target=field.name, classes=field.classes, **options)

    @model_validator(mode="after")
    def _distinct(self) -> Classification:
        if len({label_of(label) for label in self.classes}) != len(self.classes):
            raise SchemaError(
                f"The classes of {self.target!r} are not distinct: {', '.join(self.classes)}.",
                where=Where(field=self.target),
                fix='"1" and "1.0" are one class, and so are "True" and "true".',
            )
        return self

    @property
    def width(self) -> int:
        return len(self.classes)

    def encode(self, values: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
        codes = {label_of(label): code for code, label in enumerate(self.classes)}
        encoded = np.empty(len(values), np.int64)
        for row, value in enumerate(values):
            label = label_of(value)
            if label is None or label not in codes:
                raise self._refusal(label, row + 1)
            encoded[row] = codes[label]
        return encoded

    def _refusal(self, label: str | None, row: int) -> DataError:
        where = Where(row=row, field=self.target)
        if label is None:
            return DataError(
                f"The target {self.target!r} is missing.",
                where=where,
                fix="Fill the value in or drop the row.",
            )
        return DataError(
            f"{label!r} is not a class of {self.target!r}.{suggest(label, self.classes)}",
            where=where,
            fix=f"The classes are: {', '.join(self.classes)}.",
        )

    def codes(self, scores: NDArray[Any]) -> NDArray[np.int64]:
        """Return the code of the class answered in each row: by default the most probable one."""
        return np.asarray(scores.argmax(axis=1), np.int64)

    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        labels: NDArray[Any] = np.array(self.classes, dtype=object)
        return labels[self.codes(scores)]

    def output(self) -> OutputSpec:
        return OutputSpec(name=PROBABILITIES, dtype="float32", shape=(-1, self.width))

    def finish(self, raw: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float32]:
        logits = np.asarray(raw / temperature)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)

    def emit(self, graph: GraphBuilder, raw: str, temperature: float = 1.0) -> str:
        if temperature != 1.0:
            raw = graph.op("Div", raw, graph.const(temperature, "float32"))
        return graph.op("Softmax", raw, axis=1)

    def check(self, y: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        y, scores = super().check(y, scores)
        codes = y.astype(np.int64)
        if (codes != y).any() or codes.min() < 0 or codes.max() >= self.width:
            raise DataError(
                f"Class codes run from 0 to {self.width - 1}.",
                where=Where(field=self.target),
                fix="Encode the labels with task.encode(...).",
            )
        return codes, scores

    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        table: dict[str, NDArray[Any]] = {"prediction": self.decide(scores)}
        for code, label in enumerate(self.classes):
            table[f"probability[{label}]"] = scores[:, code]
        return table


class Binary(Classification):
    """Two classes; the second is the positive one.

    Attributes:
        threshold: the positive class is answered where its probability is at least this.
    """

    name: Literal["binary"] = "binary"
    classes: tuple[str, ...] = Option(min_length=2, max_length=2)
    threshold: float = Option(default=0.5, ge=0.0, le=1.0)

    metrics: ClassVar[tuple[str, ...]] = (
        "auroc",
        "average_precision",
        "accuracy",
        "precision",
        "recall",
        "specificity",
        "f1",
        "log_loss",
        "brier",
        "ece",
    )

    @classmethod
    def suits(cls, field: Field) -> bool:
        return field.kind == Kind.CATEGORY and len(field.classes) == 2

    @property
    def positive(self) -> str:
        """Label of the positive class."""
        return self.classes[1]

    def codes(self, scores: NDArray[Any]) -> NDArray[np.int64]:
        return (scores[:, 1] >= self.threshold).astype(np.int64)


class Multiclass(Classification):
    """Three classes or more; the most probable one is the answer."""

    name: Literal["multiclass"] = "multiclass"

    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "precision",
        "recall",
        "f1",
        "auroc",
        "log_loss",
        "brier",
        "ece",
    )

    @classmethod
    def suits(cls, field: Field) -> bool:
        return field.kind == Kind.CATEGORY and len(field.classes) != 2
