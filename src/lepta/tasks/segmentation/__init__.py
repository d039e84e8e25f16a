"""Segmentation: a class for every pixel of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option
from pydantic import model_validator

from lepta.core.errors import ConfigError, DataError, SchemaError, Where
from lepta.core.png import grey_png
from lepta.core.schema import Field, Kind
from lepta.tasks.base import GraphBuilder, OutputSpec, Task, require_finite

IGNORED = 255
"""Code of the pixels that neither train nor count."""
BACKGROUND = "background"


class Segmentation(Task):
    """A class for every pixel; the first class is what lies around what is looked for.

    A mask is an image of the size of the input whose pixels are whole numbers, one value a class.
    Scores are the probability of the second class, (rows, height, width), where there are two
    classes; else those of all, (rows, height, width, classes). They have the size of each image.

    Attributes:
        classes: names of the classes in the order of ``values``.
        values: value that the pixels of each class have in a mask.
        ignore: value of pixels that neither train nor count, or None.
    """

    name: Literal["segmentation"] = "segmentation"
    classes: tuple[str, ...] = Option(min_length=2, max_length=IGNORED)
    values: tuple[int, ...] = Option(min_length=2, max_length=IGNORED)
    ignore: int | None = None

    objective: ClassVar[str] = "lepta.tasks.segmentation.objective:DiceAndEntropy"
    metrics: ClassVar[tuple[str, ...]] = (
        "dice",
        "iou",
        "dice_per_image",
        "pixel_accuracy",
        "hausdorff95",
    )
    maximise: ClassVar[bool] = True
    one_answer: ClassVar[bool] = False
    bounded: ClassVar[bool] = True
    learners: ClassVar[tuple[str, ...]] = ("unet",)
    report: ClassVar[str] = "lepta.tasks.segmentation.report:PLOTS"

    @classmethod
    def suits(cls, field: Field) -> bool:
        return field.kind == Kind.MASK

    @classmethod
    def of(cls, field: Field, **options: Any) -> Self:
        if field.kind != Kind.MASK:
            raise SchemaError(
                f"A target of kind {field.kind.value!r} is no mask.",
                where=Where(field=field.name),
                fix=f"Name a column of mask images, or give kinds={{{field.name!r}: 'mask'}}.",
            )
        for name, read in (("ignore", int), ("values", _whole), ("classes", _parts)):
            if isinstance(options.get(name), str):
                options[name] = read(options[name])
        ignore = options.get("ignore")
        values = tuple(v for v in map(int, field.classes) if v != ignore)
        values = tuple(options.pop("values", values))
        if len(values) < 2:
            known = f"only the value {values[0]}" if values else "no value"
            raise DataError(
                f"The masks of {field.name!r} hold {known}; there is nothing to tell apart.",
                where=Where(field=field.name),
                fix="Add masks that hold another class, or name another target.",
            )
        names = tuple(options.pop("classes", ())) or _names(values)
        return cls(target=field.name, classes=names, values=values, **options)

    @model_validator(mode="after")
    def _fitting(self) -> Segmentation:
        if len(self.classes) != len(self.values):
            raise ConfigError(
                f"The masks of {self.target!r} hold {len(self.values)} values "
                f"({', '.join(map(str, self.values))}), but {len(self.classes)} classes are named.",
                fix="Name one class a value, in the order of the values.",
            )
        if len(set(self.classes)) < len(self.classes) or len(set(self.values)) < len(self.values):
            raise ConfigError("Classes and their values must be distinct.")
        return self

    @property
    def width(self) -> int:
        """Maps of the scores: one for two classes, else one a class."""
        return 1 if len(self.classes) == 2 else len(self.classes)

    def encode(self, values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
        """Turn masks (height, width) into class codes, uint8; an object array where sizes differ.

        Raises:
            DataError: a mask is missing, no map, or holds a value that is no class.
        """
        return stacked([self._codes(value, row + 1) for row, value in enumerate(values)])

    def _codes(self, value: Any, row: int) -> NDArray[np.uint8]:
        where = Where(row=row, field=self.target)
        mask = np.asarray(value)
        if mask.ndim == 3 and mask.shape[2] == 1:
            mask = mask[..., 0]
        if mask.ndim != 2 or mask.dtype.kind not in "buif":
            raise DataError(
                "A mask is one map of whole numbers (height, width); "
                f"this has the shape {mask.shape}.",
                where=where,
                fix="Give a grey or palette PNG.",
            )
        codes = np.full(mask.shape, IGNORED, np.uint8)
        known = np.zeros(mask.shape, bool) if self.ignore is None else mask == self.ignore
        for code, pixel in enumerate(self.values):
            here = mask == pixel
            codes[here] = code
            known |= here
        if not known.all():
            wrong = np.unique(mask[~known])[:5]
            raise DataError(
                f"The mask holds {', '.join(f'{v:g}' for v in wrong)}, which is no class of "
                f"{self.target!r}.",
                where=where,
                fix=f"The values are: {', '.join(map(str, self.values))}. Pixels to leave out have "
                "one value of their own: task_options={'ignore': 255}.",
            )
        return codes

    def output(self) -> OutputSpec:
        shape = (-1, -1, -1) if self.width == 1 else (-1, -1, -1, self.width)
        return OutputSpec(name="probabilities", dtype="float32", shape=shape)

    def finish(self, raw: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float32]:
        """Turn logits (rows, maps, height, width) into scores; see the class."""
        logits = np.asarray(raw / temperature, np.float32)
        if self.width == 1:
            power = np.exp(-np.abs(logits[:, 0]))
            above = np.where(logits[:, 0] >= 0, 1.0, power)
            return np.asarray(above / (1 + power), np.float32)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(np.moveaxis(odds / odds.sum(axis=1, keepdims=True), 1, -1))

    def emit(self, graph: GraphBuilder, raw: str, temperature: float = 1.0) -> str:
        if temperature != 1.0:
            raw = graph.op("Div", raw, graph.const(temperature, "float32"))
        if self.width == 1:
            return graph.op("Sigmoid", graph.op("Squeeze", raw, graph.const([1], "int64")))
        return graph.op("Transpose", graph.op("Softmax", raw, axis=1), perm=[0, 2, 3, 1])

    def codes(self, scores: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the class code answered for each pixel of one image."""
        if self.width == 1:
            return (scores >= 0.5).astype(np.uint8)
        return np.asarray(scores.argmax(axis=-1).astype(np.uint8))

    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Return masks, (rows, height, width), of the values that the masks of training have."""
        values = np.array(self.values, np.uint8 if max(self.values) < 256 else np.uint16)
        if scores.dtype != object:
            return values[self.codes(scores)]
        return stacked([values[self.codes(row)] for row in scores])

    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return ``prediction``, run lengths of each class, and ``area[CLASS]``, its share.

        A prediction is ``{"size": [height, width], "counts": {CLASS: [runs]}}`` with the classes
        but the first: runs column by column, of pixels without and with the class in turn, as
        uncompressed masks in COCO are.
        """
        found = [self.codes(row) for row in scores]
        named = list(enumerate(self.classes))[1:]
        answers = np.empty(len(found), object)
        for row, codes in enumerate(found):
            counts = {label: run_lengths(codes == code) for code, label in named}
            answers[row] = {"size": list(codes.shape), "counts": counts}
        table: dict[str, NDArray[Any]] = {"prediction": answers}
        for code, label in named:
            table[f"area[{label}]"] = np.array([np.mean(codes == code) for codes in found], float)
        return table

    def check(self, y: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return masks and scores fit for measuring: each row's have one size.

        Raises:
            DataError: they do not, or a score is not finite.
        """
        if len(y) != len(scores):
            raise DataError(f"There are {len(scores)} scores for {len(y)} masks.")
        tail = () if self.width == 1 else (self.width,)
        for row, (mask, score) in enumerate(zip(y, scores, strict=True)):
            if (*mask.shape, *tail) != score.shape:
                raise DataError(
                    f"The mask has the size {mask.shape}, but the scores {score.shape[:2]}.",
                    where=Where(row=row + 1, field=self.target),
                    fix="A mask has the height and width of its image.",
                )
            if not np.isfinite(score).all():
                require_finite(score[None])
        return y, scores

    def row_errors(self, y: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64]:
        """Return 1 - Dice of the foreground of each row; 0 where truth and answer have none."""
        errors = np.zeros(len(y))
        for row, (mask, score) in enumerate(zip(y, scores, strict=True)):
            counted = mask != IGNORED
            true, said = (mask > 0) & counted, (self.codes(score) > 0) & counted
            right = (self.codes(score) == mask) & true
            total = np.count_nonzero(true) + np.count_nonzero(said)
            errors[row] = 1 - 2 * np.count_nonzero(right) / total if total else 0.0
        return errors

    def pictures(self, scores: NDArray[Any]) -> list[bytes]:
        return [grey_png(mask) for mask in self.decide(scores)]

    def answer_schema(self) -> dict[str, Any]:
        whole = {"type": "array", "items": {"type": "integer", "minimum": 0}}
        counts = {"type": "object", "properties": dict.fromkeys(self.classes[1:], whole)}
        return {"type": "object", "properties": {"size": whole, "counts": counts}}

    def describe(self) -> str:
        return f"a mask of {len(self.classes)} classes, {', '.join(self.classes[:8])}"


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _whole(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _names(values: tuple[int, ...]) -> tuple[str, ...]:
    if len(values) == 2 and values[0] == 0:
        return (BACKGROUND, "foreground")
    return tuple(BACKGROUND if value == 0 else str(value) for value in values)


def stacked(maps: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return maps as one array (rows, ...), or as an object array where their shapes differ."""
    if maps and len({each.shape for each in maps}) == 1:
        return np.stack(maps)
    held = np.empty(len(maps), object)
    for row, each in enumerate(maps):
        held[row] = each
    return held


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of the runs of a mask, column by column, the first without the class."""
    flat = np.concatenate([[False], mask.ravel(order="F")])
    turns = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate([[0], turns, [mask.size]]))
    return [int(run) for run in runs]


def from_run_lengths(runs: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask (height, width) that has these run lengths."""
    on = np.arange(len(runs)) % 2 == 1
    return np.repeat(on, np.asarray(runs, np.int64)).reshape(size, order="F")


__all__ = ["IGNORED", "Segmentation", "from_run_lengths", "run_lengths", "stacked"]
