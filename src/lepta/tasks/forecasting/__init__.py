"""Forecasting: the next values of one or several series, each as quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option
from pydantic import field_validator

from lepta.core.errors import DataError, SchemaError, Where
from lepta.core.schema import Field, Kind
from lepta.tasks.base import GraphBuilder, OutputSpec, Task, require_finite


class Forecasting(Task):
    """Predict the next ``horizon`` values of each of ``fields``, as quantiles.

    Scores are (rows, horizon, fields, quantiles); the answer is the median, (rows, horizon,
    fields).

    Attributes:
        fields: names of the series forecast together, the target first.
        horizon: rows ahead.
        quantiles: levels, rising, the median in the middle.
        unit: unit of the values.
    """

    name: Literal["forecasting"] = "forecasting"
    fields: tuple[str, ...] = Option(min_length=1)
    horizon: int = Option(ge=1)
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    unit: str = ""

    objective: ClassVar[str] = "lepta.tasks.forecasting.objective:Pinball"
    metrics: ClassVar[tuple[str, ...]] = (
        "forecast_mae",
        "forecast_rmse",
        "forecast_coverage",
    )
    maximise: ClassVar[bool] = False
    one_answer: ClassVar[bool] = False
    learners: ClassVar[tuple[str, ...]] = (
        "statistical",
        "forecast-trees",
        "forecaster",
        "hybrid-forecaster",
    )
    report: ClassVar[str] = "lepta.tasks.forecasting.report:PLOTS"

    @field_validator("quantiles", mode="before")
    @classmethod
    def _listed(cls, levels: Any) -> Any:
        return tuple(map(float, levels.split(","))) if isinstance(levels, str) else levels

    @field_validator("quantiles")
    @classmethod
    def _ordered(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        rising = list(levels) == sorted(set(levels))
        middle = levels[len(levels) // 2] if levels else 0.0
        if not rising or middle != 0.5 or not 0.0 < levels[0] <= levels[-1] < 1.0:
            raise ValueError("quantiles rise between 0 and 1, and 0.5 stands in the middle")
        return levels

    @classmethod
    def of(cls, field: Field, **options: Any) -> Self:
        if field.kind != Kind.SERIES or "horizon" not in options:
            raise SchemaError(
                f"The target {field.name!r} is no stretch of time to forecast.",
                where=Where(field=field.name),
                fix="Say how far: Dataset.read(..., window={'length': 48, 'horizon': 24}).",
            )
        return cls(target=field.name, unit=field.unit, **options)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Horizon, fields, quantiles."""
        return (self.horizon, len(self.fields), len(self.quantiles))

    @property
    def median(self) -> int:
        """Position of the median among the quantiles."""
        return len(self.quantiles) // 2

    @property
    def width(self) -> int:
        return int(np.prod(self.shape))

    def encode(self, values: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
        wanted = self.shape[:2]
        encoded = np.empty((len(values), *wanted), np.float64)
        for row, value in enumerate(values):
            array = np.asarray(value, np.float64)
            if array.shape != wanted or not np.isfinite(array).all():
                raise DataError(
                    f"The target {self.target!r} is no finite array of shape {wanted}.",
                    where=Where(row=row + 1, field=self.target),
                    fix="Fill gaps in the series, or drop the rows.",
                )
            encoded[row] = array
        return encoded

    def output(self) -> OutputSpec:
        return OutputSpec(name="forecast", dtype="float32", shape=(-1, *self.shape))

    def finish(self, raw: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float32]:
        return np.asarray(raw, np.float32).reshape(len(raw), *self.shape)

    def emit(self, graph: GraphBuilder, raw: str, temperature: float = 1.0) -> str:
        return graph.op("Reshape", raw, graph.const([-1, *self.shape], "int64"))

    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        return scores[..., self.median]

    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the forecasts: one column a field and quantile, an array (horizon,) a row."""
        table: dict[str, NDArray[Any]] = {"prediction": _arrays(self.decide(scores)[..., 0])}
        for place, field in enumerate(self.fields):
            for level, quantile in enumerate(self.quantiles):
                name = f"quantile[{field}:{quantile:g}]"
                table[name] = _arrays(scores[:, :, place, level])
        return table

    def check(self, y: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        scores = np.asarray(scores, np.float64)
        if scores.shape[1:] != self.shape or y.shape != scores.shape[:3]:
            raise DataError(
                f"Forecasts of shape {scores.shape} do not fit truths of shape {y.shape}; this "
                f"task needs (rows, {', '.join(map(str, self.shape))})."
            )
        require_finite(scores)
        return y.astype(np.float64), scores

    def row_errors(self, y: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64] | None:
        errors: NDArray[np.float64] = np.abs(self.decide(scores) - y).mean(axis=(1, 2))
        return errors

    def describe(self) -> str:
        others = f" and {len(self.fields) - 1} series more" if len(self.fields) > 1 else ""
        return f"its next {self.horizon} values{others}, each with {len(self.quantiles)} quantiles"


def _arrays(values: NDArray[Any]) -> NDArray[Any]:
    """Return rows of an array as an object array of lists, one a row."""
    held = np.empty(len(values), object)
    held[:] = [row.tolist() for row in values]
    return held
