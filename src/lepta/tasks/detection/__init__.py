"""Detection: where in an image things are, as boxes, and of which class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option
from pydantic import field_validator

from lepta.core.errors import DataError, SchemaError, Where, suggest
from lepta.core.schema import Field, Kind
from lepta.core.values import label_of
from lepta.tasks.base import OutputSpec, Task, require_finite
from lepta.tasks.detection.boxes import difference
from lepta.tasks.detection.matching import best_threshold, match

CORNERS = ("x0", "y0", "x1", "y1")


class Detection(Task):
    """Boxes around what is looked for, each of one class.

    The truth of a row is a list of boxes, ``{"x0", "y0", "x1", "y1", "class"}``, in pixels of the
    image as it came: x to the right, y down, from the corner of the first pixel to that of the
    last, so that a box as wide as its image has x0 = 0 and x1 = width. Encoded it is float32
    (boxes, 5): the corners and the class code.

    Scores are float32 (rows, :attr:`most`, 6): the corners, a score between 0 and 1, and the class
    code, by falling score; places left over are all 0. Raw scores are these already: peaks are
    found, and boxes that overlap thinned out, by the learner's own graph.

    Attributes:
        classes: names of the classes.
        threshold: score from which a box is answered; learned on the validation rows (best F1 at
            an IoU of 0.5) unless it is given.
        most: boxes that a row of scores has room for.
    """

    name: Literal["detection"] = "detection"
    classes: tuple[str, ...] = Option(min_length=1, max_length=10_000)
    threshold: float = Option(default=0.3, ge=0.0, le=1.0)
    most: int = Option(default=100, ge=1, le=10_000)

    objective: ClassVar[str] = "lepta.tasks.detection.objective:CentresAndBoxes"
    metrics: ClassVar[tuple[str, ...]] = (
        "map50",
        "map",
        "map75",
        "recall100",
        "box_precision",
        "box_recall",
        "box_f1",
    )
    maximise: ClassVar[bool] = True
    one_answer: ClassVar[bool] = False
    bounded: ClassVar[bool] = True
    tuned: ClassVar[bool] = True
    target_kind: ClassVar[Kind | None] = Kind.BOXES
    learners: ClassVar[tuple[str, ...]] = ("detector",)
    report: ClassVar[str] = "lepta.tasks.detection.report:PLOTS"

    @classmethod
    def suits(cls, field: Field) -> bool:
        return field.kind == Kind.BOXES

    @classmethod
    def of(cls, field: Field, **options: Any) -> Self:
        if field.kind != Kind.BOXES:
            raise SchemaError(
                f"A target of kind {field.kind.value!r} holds no boxes.",
                where=Where(field=field.name),
                fix="Give the table of boxes: Dataset.read('images/', boxes='boxes.csv').",
            )
        classes = tuple(options.pop("classes", ())) or field.classes
        if not classes:
            raise DataError(
                f"There is no box in {field.name!r}; there is nothing to find.",
                where=Where(field=field.name),
                fix="Add images with boxes, or name another target.",
            )
        return cls(target=field.name, classes=classes, **options)

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) < len(classes):
            raise ValueError("classes must be distinct")
        return classes

    @property
    def width(self) -> int:
        """Maps of scores that a network needs: one a class."""
        return len(self.classes)

    def encode(self, values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
        """Turn lists of boxes into an object array of float32 (boxes, 5), one a row.

        Raises:
            DataError: a row has no list (an image without a box has an empty one), a corner is no
                finite number, a box has no area, or a class is not known.
        """
        encoded = np.empty(len(values), object)
        codes = {label: code for code, label in enumerate(self.classes)}
        for row, boxes in enumerate(values):
            where = Where(row=row + 1, field=self.target)
            if boxes is None:
                raise DataError(
                    f"The target {self.target!r} is missing.",
                    where=where,
                    fix="Give an empty list where an image has no box, or drop the row.",
                )
            found = [self._box(box, codes, where) for box in boxes]
            encoded[row] = np.array(found, np.float32).reshape(-1, 5)
        return encoded

    def _box(self, box: Mapping[str, Any], codes: Mapping[str, int], where: Where) -> list[float]:
        corners = [float(box[name]) for name in CORNERS]
        if not np.isfinite(corners).all() or corners[2] <= corners[0] or corners[3] <= corners[1]:
            raise DataError(
                f"The box {tuple(corners)} has no area.",
                where=where,
                fix="A box is x0, y0, x1, y1 in pixels, with x0 < x1 and y0 < y1.",
            )
        label = label_of(box["class"])
        if label is None or label not in codes:
            raise DataError(
                f"{label!r} is not a class of {self.target!r}.{suggest(str(label), self.classes)}",
                where=where,
                fix=f"The classes are: {', '.join(self.classes[:50])}.",
            )
        return [*corners, float(codes[label])]

    def output(self) -> OutputSpec:
        return OutputSpec(name="boxes", dtype="float32", shape=(-1, self.most, 6))

    def calibrated(
        self, raw: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> Self:
        """Return the task with the threshold of the best F1, unless one was given."""
        if "threshold" in self.model_fields_set:
            return self
        found = best_threshold(match(y, raw), weights)
        return self if found is None else self.model_copy(update={"threshold": found})

    def answered(self, scores: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the boxes answered in each row, (boxes, 6), by falling score."""
        kept = (scores[..., 4] >= self.threshold) & (scores[..., 4] > 0)
        return [row[keep] for row, keep in zip(scores, kept, strict=True)]

    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Return lists of ``{"box": [x0, y0, x1, y1], "score", "label"}``, an object array."""
        answers = np.empty(len(scores), object)
        for row, boxes in enumerate(self.answered(scores)):
            answers[row] = [
                {
                    "box": [round(float(side), 2) for side in box[:4]],
                    "score": round(float(box[4]), 6),
                    "label": self.classes[int(box[5])],
                }
                for box in boxes
            ]
        return answers

    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return ``prediction``, the boxes of :meth:`decide`, and ``count``, how many they are."""
        answers = self.decide(scores)
        counts = np.array([len(boxes) for boxes in answers], np.int64)
        return {"prediction": answers, "count": counts}

    def check(self, y: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return truth and scores fit for measuring.

        Raises:
            DataError: shapes do not fit, a value is not finite, a score is not between 0 and 1, a
                class code does not exist, or a box ends before it begins.
        """
        if scores.ndim != 3 or len(scores) != len(y) or scores.shape[2] != 6:
            raise DataError(
                f"The scores have shape {scores.shape}; {len(y)} rows of this task need "
                f"({len(y)}, boxes, 6)."
            )
        require_finite(scores)
        for row, truth in enumerate(y):
            codes = truth[:, 4] if np.ndim(truth) == 2 and np.shape(truth)[1] == 5 else [-1]
            if not np.isin(codes, np.arange(len(self.classes))).all():
                raise DataError(
                    "A truth is x0, y0, x1, y1 and a class code, (boxes, 5).",
                    where=Where(row=row + 1, field=self.target),
                    fix="Encode the boxes with task.encode(...).",
                )
        there = scores[..., 4] > 0
        wrong = there & (scores[..., 4] > 1) | (scores[..., 4] < 0)
        wrong |= there & ((scores[..., 2:4] < scores[..., :2]).any(axis=-1))
        wrong |= there & ~np.isin(scores[..., 5], np.arange(len(self.classes)))
        if wrong.any():
            row, place = np.argwhere(wrong)[0]
            raise DataError(
                f"The model gave {scores[row, place].tolist()}, which is no box with a score and a "
                "class.",
                where=Where(row=int(row) + 1),
                fix="A box is x0, y0, x1, y1, a score between 0 and 1, and a class code.",
            )
        return y, scores

    def row_errors(self, y: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64]:
        """Return 1 - F1 of the boxes answered, at an IoU of 0.5; 0 where there are none at all."""
        return match(y, scores, ious=(0.5,)).row_errors(self.threshold)

    def answer_schema(self) -> dict[str, Any]:
        number = {"type": "number"}
        box = {"type": "array", "items": number, "minItems": 4, "maxItems": 4}
        label = {"type": "string", "enum": list(self.classes)}
        parts = {"box": box, "score": number, "label": label}
        return {"type": "array", "items": {"type": "object", "properties": parts}}

    def gap(self, one: NDArray[Any], other: NDArray[Any]) -> float:
        """Return how far two computations of the same boxes differ, between 0 and 1.

        See :func:`lepta.tasks.detection.boxes.difference`; order does not matter.
        """
        if one.ndim > 2 or one.dtype == object:
            return max((self.gap(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
        return difference(one, other)

    def describe(self) -> str:
        return f"boxes of {len(self.classes)} class(es): {', '.join(self.classes[:8])}"


__all__ = ["CORNERS", "Detection"]
