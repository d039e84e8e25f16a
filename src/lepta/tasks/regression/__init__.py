"""Regression: one real number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import DataError, Where
from lepta.tasks.base import OutputSpec, Task


class Regression(Task):
    """Predict a real number, in ``unit``."""

    name: Literal["regression"] = "regression"
    unit: str = ""

    objective: ClassVar[str] = "lepta.tasks.regression.objective:SquaredError"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2")
    maximise: ClassVar[bool] = False
    is_classification: ClassVar[bool] = False

    @property
    def width(self) -> int:
        return 1

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

    def output(self) -> OutputSpec:
        return OutputSpec(name="value", dtype="float32", shape=(-1, 1))

    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        return scores[:, 0]

    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {"prediction": self.decide(scores)}
