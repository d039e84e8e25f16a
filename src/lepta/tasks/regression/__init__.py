"""Regression: one real number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import DataError, SchemaError, Where
from lepta.core.schema import Field, Kind
from lepta.tasks.base import OutputSpec, Task


class Number(Task):
    """What tasks have in common whose target is a real number, in ``unit``."""

    unit: str = ""

    maximise: ClassVar[bool] = False
    target_kind: ClassVar[Kind | None] = Kind.NUMBER

    @classmethod
    def of(cls, field: Field, **options: Any) -> Self:
        if field.kind != Kind.NUMBER:
            raise SchemaError(
                f"A target of kind {field.kind.value!r} is no number.",
                where=Where(field=field.name),
                fix=f"Name another target, or give kinds={{{field.name!r}: 'number'}}.",
            )
        return cls(target=field.name, unit=field.unit, **options)

    def encode(self, values: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
        encoded = np.empty(len(values), np.float64)
        for row, value in enumerate(values):
            try:
                encoded[row] = np.nan if value is None else float(value)
            except (TypeError, ValueError):
                raise DataError(
                    f"{value!r} is not a number.",
                    where=Where(row=row + 1, field=self.target),
                    fix="Mend the value or drop the row.",
                ) from None
        bad = np.flatnonzero(~np.isfinite(encoded))
        if bad.size:
            raise DataError(
                f"The target {self.target!r} is missing or not finite in {bad.size} row(s).",
                where=Where(row=int(bad[0]) + 1, field=self.target),
                fix="Fill the values in or drop the rows.",
            )
        return encoded

    def check(self, y: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        y, scores = super().check(y.astype(np.float64), scores)
        if not np.isfinite(y).all():
            raise DataError("A target value is not finite.", where=Where(field=self.target))
        return y, scores

    def describe(self) -> str:
        return f"a number in {self.unit}" if self.unit else "a number"


class Regression(Number):
    """Predict a real number, in ``unit``."""

    name: Literal["regression"] = "regression"

    objective: ClassVar[str] = "lepta.tasks.regression.objective:SquaredError"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2")

    @classmethod
    def suits(cls, field: Field) -> bool:
        return field.kind == Kind.NUMBER

    @property
    def width(self) -> int:
        return 1

    def output(self) -> OutputSpec:
        return OutputSpec(name="value", dtype="float32", shape=(-1, 1))

    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        return scores[:, 0]

    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {"prediction": self.decide(scores)}

    def row_errors(self, y: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64] | None:
        errors: NDArray[np.float64] = np.abs(scores[:, 0].astype(np.float64) - y)
        return errors
