"""Quantiles: a number, and how far from it the truth may lie."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option
from pydantic import field_validator, model_validator

from lepta.tasks.base import GraphBuilder, OutputSpec
from lepta.tasks.regression import Number

QUANTILES = (0.1, 0.5, 0.9)


class Quantile(Number):
    """Predict quantiles of a number: below ``quantile[0.9]`` lie nine in ten.

    Quantiles that a model gives in the wrong order are put in order (Chernozhukov et al. 2010),
    and those above and below the median are moved by what the validation rows, which no training
    saw, lack in coverage (conformalised quantile regression with one margin a side, Romano et al.
    2019, arXiv:1905.03222). Both are part of the graph.

    Attributes:
        quantiles: levels between 0 and 1, rising.
        margins: what is added to each quantile; learned on the validation rows.
    """

    name: Literal["quantile"] = "quantile"
    quantiles: tuple[float, ...] = Option(default=QUANTILES, min_length=1)
    margins: tuple[float, ...] = ()

    objective: ClassVar[str] = "lepta.tasks.quantile.objective:Pinball"
    metrics: ClassVar[tuple[str, ...]] = (
        "pinball",
        "median_mae",
        "interval_coverage",
        "interval_width",
        "quantile_gap",
    )
    tuned: ClassVar[bool] = True
    promises: ClassVar[bool] = True
    report: ClassVar[str] = "lepta.tasks.quantile.report:PLOTS"

    @field_validator("quantiles", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(float(part) for part in value.split(","))
        return (value,) if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not all(0 < level < 1 for level in self.quantiles):
            raise ValueError("levels lie between 0 and 1")
        if any(b <= a for a, b in zip(self.quantiles, self.quantiles[1:], strict=False)):
            raise ValueError("levels rise from one to the next")
        if self.margins and len(self.margins) != len(self.quantiles):
            raise ValueError("there is one margin a quantile")
        return self

    @property
    def width(self) -> int:
        return len(self.quantiles)

    @property
    def middle(self) -> int:
        """Position of the quantile nearest to the median, which is the answer."""
        return int(np.abs(np.array(self.quantiles) - 0.5).argmin())

    @property
    def promised(self) -> float:
        """Share of the truths that should lie between the first and the last quantile."""
        return self.quantiles[-1] - self.quantiles[0]

    def output(self) -> OutputSpec:
        return OutputSpec(name="quantiles", dtype="float32", shape=(-1, self.width))

    def finish(self, raw: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float32]:
        ordered = np.sort(np.asarray(raw, np.float32), axis=1)
        if self.margins:
            ordered = np.sort(ordered + np.array(self.margins, np.float32), axis=1)
        return ordered

    def emit(self, graph: GraphBuilder, raw: str, temperature: float = 1.0) -> str:
        ordered = self._sorted(graph, raw)
        if self.margins:
            margins = graph.const(np.array(self.margins, np.float32))
            ordered = self._sorted(graph, graph.op("Add", ordered, margins))
        return ordered

    def _sorted(self, graph: GraphBuilder, values: str) -> str:
        count = graph.const([self.width], "int64")
        return graph.ops("TopK", 2, values, count, axis=1, largest=0, sorted=1)[0]

    def calibrated(
        self, raw: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> Self:
        ordered = self.model_copy(update={"margins": ()}).finish(raw).astype(np.float64)
        mass = np.ones(len(y)) if weights is None else weights
        margins = [
            _margin(y - ordered[:, position], level, mass)
            for position, level in enumerate(self.quantiles)
        ]
        return self.model_copy(update={"margins": tuple(margins)})

    def decide(self, scores: NDArray[Any]) -> NDArray[Any]:
        return scores[:, self.middle]

    def columns(self, scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
        table = {"prediction": self.decide(scores)}
        for position, level in enumerate(self.quantiles):
            table[f"quantile[{level:g}]"] = scores[:, position]
        return table

    def row_errors(self, y: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64] | None:
        errors: NDArray[np.float64] = np.abs(scores[:, self.middle].astype(np.float64) - y)
        return errors

    def describe(self) -> str:
        levels = ", ".join(f"{level:g}" for level in self.quantiles)
        return f"{super().describe()}, as the quantiles {levels}"


def _margin(short: NDArray[np.float64], level: float, mass: NDArray[np.float64]) -> float:
    """Return what to add to a quantile so that a share ``level`` of new truths lies below it.

    ``short`` is truth less quantile on rows that were not trained on, ``mass`` their weights. A
    rank is taken with one row more than there are, of mean weight, on the side of caution; the
    median stays as it is.
    """
    if level == 0.5:
        return 0.0
    sign = 1.0 if level > 0.5 else -1.0
    order = np.argsort(sign * short, kind="stable")
    reached = np.cumsum(mass[order])
    reach = level if level > 0.5 else 1.0 - level
    wanted = reach * (reached[-1] + mass.mean()) * (1 - 1e-12)
    rank = min(len(order) - 1, int(np.searchsorted(reached, wanted)))
    return float(short[order[rank]])
