"""Recommendation: which items somebody takes next, given those taken before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option

from lepta.core.errors import DataError, SchemaError, Where
from lepta.core.schema import Field, Kind
from lepta.core.values import label_of
from lepta.tasks.base import GraphBuilder, OutputSpec, Task, require_finite

MASKED = -1e4
"""Raw score of an item that must not be recommended; its share becomes exactly 0."""
UNKNOWN = -1
"""Code of an item that the model does not know: whatever is recommended, it is a miss."""


class Recommendation(Task):
    """Order a catalogue of items for each row; the first ``top`` are the answer.

    Scores are (rows, items): shares that sum to 1, and 0 for items that are not to be recommended.
    The truth is the code of the item that was taken next, or -1 where the catalogue lacks it.

    Attributes:
        items: the catalogue, the most popular item first.
        top: length of the list that is answered.
        repeat: whether items that were taken before may be recommended again.
    """

    name: Literal["recommendation"] = "recommendation"
    items: tuple[str, ...] = Option(min_length=2)
    top: int = Option(default=10, ge=1)
    repeat: bool = False

    metrics: ClassVar[tuple[str, ...]] = (
        "hit_rate_10",
        "ndcg_10",
        "mrr",
        "hit_rate_1",
        "hit_rate_50",
        "popularity_hit_rate_10",
    )
    maximise: ClassVar[bool] = True
    one_answer: ClassVar[bool] = False
    bounded: ClassVar[bool] = True
    follows_groups: ClassVar[bool] = True
    target_kind: ClassVar[Kind | None] = Kind.ID
    learners: ClassVar[tuple[str, ...]] = ("transitions",)
    report: ClassVar[str] = "lepta.tasks.recommendation.report:PLOTS"

    @classmethod
    def of(cls, field: Field, **options: Any) -> Self:
        if "items" not in options:
            raise SchemaError(
                f"The target {field.name!r} comes with no items to recommend.",
                where=Where(field=field.name),
                fix="Read a table of events: Dataset.read(..., task='recommendation', "
                "target=ITEM, group=USER, time_field=TIME).",
            )
        return cls(target=field.name, **options)

    @property
    def width(self) -> int:
        return len(self.items)

    def encode(self, values: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
        codes = {item: code for code, item in enumerate(self.items)}
        encoded = np.empty(len(values), np.int64)
        for row, value in enumerate(values):
            label = label_of(value)
            if label is None:
                raise DataError(
                    f"The target {self.target!r} is missing.",
                    where=Where(row=row + 1, field=self.target),
                    fix="Fill the value in or drop the row.",
                )
            encoded[row] = codes.get(label, UNKNOWN)
        return encoded

    def output(self) -> OutputSpec:
        return OutputSpec(name="shares", dtype="float32", shape=(-1, self.width))

    def finish(self, raw: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float32]:
        odds = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)

    def emit(self, graph: GraphBuilder, raw: str, temperature: float = 1.0) -> str:
        return graph.op("Softmax", raw, axis=1)

    def best(self, scores: NDArray[Any]) -> NDArray[np.int64]:
        """Return the codes of the items recommended, (rows, top), the best first."""
        count = min(self.top, self.width)
        chosen = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.lexsort((chosen, -np.take_along_axis(scores, chosen, axis=1)))
        return np.asarray(np.take_along_axis(chosen, order, axis=1), np.int64)

    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Return the items recommended, (rows, top); "" where there are no more of them."""
        best = self.best(scores)
        labels = np.array(self.items, object)[best]
        labels[np.take_along_axis(scores, best, axis=1) <= 0] = ""
        return labels

    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the lists: ``prediction``, a list of ``{"item": ..., "score": ...}`` a row."""
        shares = np.take_along_axis(scores, self.best(scores), axis=1)
        lists = np.empty(len(scores), object)
        for row, (items, found) in enumerate(zip(self.decide(scores), shares, strict=True)):
            pairs = zip(items, found.tolist(), strict=True)
            lists[row] = [{"item": item, "score": share} for item, share in pairs if item]
        return {"prediction": lists}

    def check(self, y: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        scores, codes = np.asarray(scores, np.float32), np.asarray(y, np.int64)
        if scores.shape != (len(codes), self.width) or (codes >= self.width).any():
            raise DataError(
                f"Scores of shape {scores.shape} do not fit {len(codes)} rows and a catalogue of "
                f"{self.width} items."
            )
        require_finite(scores)
        return codes, scores

    def answer_schema(self) -> dict[str, Any]:
        pair = {"item": {"type": "string"}, "score": {"type": "number"}}
        return {"type": "array", "items": {"type": "object", "properties": pair}}

    def describe(self) -> str:
        again = "" if self.repeat else ", without those taken before"
        return f"the next of {self.width:,} items, as a list of {self.top}{again}"
