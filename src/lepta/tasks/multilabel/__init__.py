"""Multi-label classification: any number of labels a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option

from lepta.core.errors import DataError, SchemaError, Where, suggest
from lepta.core.schema import Field, Kind
from lepta.core.values import label_of
from lepta.tasks.base import GraphBuilder, OutputSpec, Task

_FEW = 10


class Multilabel(Task):
    """Predict which labels a row has: none, one or several.

    Each label has a probability of its own (a logistic function of its raw score), and is
    answered from a threshold on; thresholds are those that give the best F1 on the validation
    rows, and 0.5 for labels that few of these rows have.

    Attributes:
        classes: all labels, in order.
        thresholds: one a label; empty for 0.5 everywhere.
        separator: what stands between the labels of a text; empty when it is to be found.
    """

    name: Literal["multilabel"] = "multilabel"
    classes: tuple[str, ...] = Option(min_length=1)
    thresholds: tuple[float, ...] = ()
    separator: str = ""

    objective: ClassVar[str] = "lepta.tasks.multilabel.objective:LabelEntropy"
    metrics: ClassVar[tuple[str, ...]] = (
        "label_average_precision",
        "macro_f1",
        "micro_f1",
        "label_auroc",
        "subset_accuracy",
        "hamming_loss",
    )
    maximise: ClassVar[bool] = True
    one_answer: ClassVar[bool] = False
    bounded: ClassVar[bool] = True
    tuned: ClassVar[bool] = True
    report: ClassVar[str] = "lepta.tasks.multilabel.report:PLOTS"

    @classmethod
    def of(cls, field: Field, **options: Any) -> Self:
        if field.kind != Kind.CATEGORY or not field.classes:
            raise SchemaError(
                f"The target {field.name!r} holds no labels.",
                where=Where(field=field.name),
                fix="Give a column of lists or of text such as 'a;b', or several columns of 0 and "
                "1 as target='a,b,c'; and task='multilabel' when the data is read.",
            )
        return cls(target=field.name, classes=field.classes, **options)

    @property
    def width(self) -> int:
        return len(self.classes)

    @property
    def reading(self) -> dict[str, Any]:
        return {"separator": self.separator} if self.separator else {}

    @property
    def cuts(self) -> NDArray[np.float64]:
        """Probability from which each label is answered, (labels,)."""
        return np.array(self.thresholds or (0.5,) * self.width)

    def encode(self, values: Sequence[Any] | NDArray[Any]) -> NDArray[np.float32]:
        codes = {label: code for code, label in enumerate(self.classes)}
        encoded = np.zeros((len(values), self.width), np.float32)
        for row, value in enumerate(values):
            for label in self._labels(value, row + 1):
                if label not in codes:
                    raise DataError(
                        f"{label!r} is not a label of {self.target!r}."
                        f"{suggest(label, self.classes)}",
                        where=Where(row=row + 1, field=self.target),
                        fix=f"The labels are: {', '.join(self.classes[:50])}.",
                    )
                encoded[row, codes[label]] = 1.0
        return encoded

    def _labels(self, value: Any, row: int) -> list[str]:
        if value is None:
            raise DataError(
                f"The target {self.target!r} is missing.",
                where=Where(row=row, field=self.target),
                fix="Give an empty list where no label holds, or drop the row.",
            )
        if isinstance(value, str):
            value = value.split(self.separator) if self.separator else [value]
        return [label for item in value if (label := label_of(item)) is not None]

    def output(self) -> OutputSpec:
        return OutputSpec(name="probabilities", dtype="float32", shape=(-1, self.width))

    def finish(self, raw: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float32]:
        half = 0.5 * np.asarray(raw, np.float64)
        return np.asarray(0.5 + 0.5 * np.tanh(half), np.float32)

    def emit(self, graph: GraphBuilder, raw: str, temperature: float = 1.0) -> str:
        return graph.op("Sigmoid", raw)

    def calibrated(
        self, raw: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> Self:
        scores = self.finish(raw).astype(np.float64)
        mass = np.ones(len(y)) if weights is None else weights
        cuts = tuple(
            _best_cut(y[:, label] > 0, scores[:, label], mass) for label in range(self.width)
        )
        return self.model_copy(update={"thresholds": cuts})

    def answered(self, scores: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which labels are answered, (rows, labels)."""
        return np.asarray(scores >= self.cuts)

    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Return a list of labels for each row, as an object array."""
        answers = np.empty(len(scores), object)
        answers[:] = [
            [label for label, there in zip(self.classes, row, strict=True) if there]
            for row in self.answered(scores)
        ]
        return answers

    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        table: dict[str, NDArray[Any]] = {"prediction": self.decide(scores)}
        for code, label in enumerate(self.classes):
            table[f"probability[{label}]"] = scores[:, code]
        return table

    def check(self, y: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        y, scores = super().check(y, scores)
        if y.shape != scores.shape or not np.isin(y, (0, 1)).all():
            raise DataError(
                f"The truth has shape {y.shape}; {len(scores)} rows of this task need a 0 or 1 "
                f"for each of {self.width} labels.",
                where=Where(field=self.target),
                fix="Encode the labels with task.encode(...).",
            )
        return y.astype(np.float64), scores

    def row_errors(self, y: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64] | None:
        errors: NDArray[np.float64] = np.abs(scores.astype(np.float64) - y).sum(axis=1)
        return errors

    def describe(self) -> str:
        shown = ", ".join(self.classes[:8]) + (", …" if self.width > 8 else "")
        return f"any of {self.width} labels: {shown}"


def _best_cut(
    positive: NDArray[np.bool_], score: NDArray[np.float64], mass: NDArray[np.float64]
) -> float:
    """Return the threshold with the best F1; 0.5 where too few rows tell."""
    if positive.sum() < _FEW or (~positive).sum() < _FEW:
        return 0.5
    order = np.argsort(-score, kind="stable")
    ranked, hit = score[order], (mass * positive)[order]
    last = np.r_[ranked[1:] < ranked[:-1], True]
    f1 = 2 * np.cumsum(hit) / (np.cumsum(mass[order]) + hit.sum())
    best = int(np.argmax(np.where(last, f1, -1.0)))
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    cut = float(0.5 * (ranked[best] + below))
    short = round(cut, 6)
    return short if below < short <= ranked[best] else cut
