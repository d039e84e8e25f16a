"""Ranking: the items of a query, or the offers of a search, brought into order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import DataError, SchemaError, Where
from lepta.core.schema import Field, Kind
from lepta.tasks.base import OutputSpec, Task
from lepta.tasks.regression import Regression

MOST = 30
"""Highest grade: its gain is 2 ** 30 - 1."""


class Ranking(Task):
    """Give each row a score by which the rows of its query are ordered, the best first.

    The target is a grade of relevance, a whole number from 0 (irrelevant). Truth is (rows, 2): the
    grade and the code of the query, which is the row's group. Scores are (rows, 1); only their
    order within a query means something.
    """

    name: Literal["ranking"] = "ranking"

    objective: ClassVar[str] = "lepta.tasks.ranking.objective:ListNet"
    metrics: ClassVar[tuple[str, ...]] = ("query_ndcg_10", "query_ndcg", "query_map", "query_mrr")
    maximise: ClassVar[bool] = True
    one_answer: ClassVar[bool] = False
    by_group: ClassVar[bool] = True
    target_kind: ClassVar[Kind | None] = Kind.NUMBER
    learners: ClassVar[tuple[str, ...]] = ("linear", "trees")
    report: ClassVar[str] = "lepta.tasks.ranking.report:PLOTS"

    @classmethod
    def of(cls, field: Field, **options: Any) -> Self:
        if field.kind != Kind.NUMBER:
            raise SchemaError(
                f"A target of kind {field.kind.value!r} is no grade of relevance.",
                where=Where(field=field.name),
                fix="Name a column of whole numbers, 0 for irrelevant.",
            )
        return cls(target=field.name, **options)

    @property
    def width(self) -> int:
        return 1

    def encode(self, values: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
        grades = Regression(target=self.target).encode(values)
        wrong = np.flatnonzero((grades != np.floor(grades)) | (grades < 0) | (grades > MOST))
        if wrong.size:
            raise DataError(
                f"{grades[wrong[0]]:g} is no grade of relevance.",
                where=Where(row=int(wrong[0]) + 1, field=self.target),
                fix=f"Grades are whole numbers from 0 (irrelevant) to {MOST}.",
            )
        return grades

    def output(self) -> OutputSpec:
        return OutputSpec(name="relevance", dtype="float32", shape=(-1, 1))

    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        return scores[:, 0]

    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {"prediction": self.decide(scores)}

    def check(self, y: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        y, scores = super().check(np.asarray(y, np.float64), scores)
        if y.ndim != 2 or y.shape[1] != 2:
            raise DataError(
                f"The truth of a ranking has two columns, grade and query, not shape {y.shape}."
            )
        return y, scores

    def describe(self) -> str:
        return "a score by which the rows of a query are ordered"
