"""The learner of statistical forecasts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ConfigError, TrainError
from lepta.core.events import Context
from lepta.core.schema import Kind, Schema
from lepta.core.space import Choice
from lepta.data.windows import PAST
from lepta.models.forecast.clock import Clock
from lepta.models.forecast.own import Own, context_of, unfit_windows
from lepta.models.forecast.periods import periods_of
from lepta.models.forecast.proposing import Member, Seen, choose, mixed, refitted
from lepta.models.forecast.regression import Affine, emit_forecasts, forecasts_of, mixture
from lepta.models.forecast.spread import Spread, fit_spread
from lepta.models.front import Front, fit_front
from lepta.models.graph import Graph
from lepta.models.learner import Fitted, Learner, row_weights
from lepta.tasks import Task
from lepta.tasks.forecasting import Forecasting

if TYPE_CHECKING:
    from lepta.data import Dataset

Floats = NDArray[np.float64]
Model = Literal["auto", "seasonal-naive", "drift", "theta", "ets", "ar"]
_CHUNK = 4096
_MOST_CONTEXT = 1_000_000
"""Weights of the context, beyond which it is left out."""


@dataclass(frozen=True)
class StatisticalFitted(Fitted):
    """A mixture of statistical models: one linear map of the window and of the context.

    Attributes:
        own: the windows.
        affine: the map.
        spread: quantiles around it.
        members: what it is made of; empty where it cannot be fitted again.
    """

    front: Front
    task: Forecasting
    own: Own
    affine: Affine
    spread: Spread
    members: tuple[Member, ...] = ()

    def refit(self, rows: Dataset, context: Context) -> StatisticalFitted:
        if not self.members:
            return self
        given = Given.of(self.front, rows, self.task, context)
        clock = Clock.of(rows, self.task.horizon)
        seen = seen_of(self.front, self.own, given, self.task, clock)
        members = refitted(list(self.members), seen)
        return replace(self, affine=mixed(members).rounded(), members=tuple(members))

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        parts = []
        for begin in range(0, len(arrays[PAST]), _CHUNK):
            chunk = {name: array[begin : begin + _CHUNK] for name, array in arrays.items()}
            own, middle = self.middle(chunk)
            parts.append(self.own.scores(self.spread.around(middle, own)))
        return np.concatenate(parts)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        own, middle = self.emit_middle(graph, values)
        return self.own.emit_scores(graph, self.spread.emit(graph, middle, own), self.task)

    def middle(self, arrays: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """Return windows (rows, series, length) and their forecasts (rows, series, horizon)."""
        return forecasts_of(self.front, self.own, self.affine, arrays)

    def emit_middle(self, graph: Graph, values: Mapping[str, str]) -> tuple[str, str]:
        """Add what :meth:`middle` does; return the names of both, float64."""
        return emit_forecasts(graph, self.front, self.own, self.affine, values)

    def combine(self, others: Sequence[Fitted], weights: Sequence[float]) -> Fitted | None:
        parts = [self, *(other for other in others if isinstance(other, StatisticalFitted))]
        local = {part.spread.least is None for part in parts}
        plain = all(part.own.logs is None and part.front is self.front for part in parts)
        if len(parts) <= len(others) or not plain or len(local) > 1:
            return None
        affine = mixture([part.affine for part in parts], list(weights))
        beyond = (sum(weights) - 1.0) * self.own.center / self.own.scale
        affine = replace(affine, bias=affine.bias + beyond[:, None]).rounded()
        return replace(self, affine=affine, spread=_added(parts, weights), members=())

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        arrays = {"window": self.affine.window, "bias": self.affine.bias,
                  "context": self.affine.context, "offsets": self.spread.offsets}  # fmt: skip
        kept = {k: np.ascontiguousarray(a, np.float32) for k, a in arrays.items() if a is not None}
        names = [[weight, member.name] for weight, member in self.members]
        recipe = {"learner": "statistical", "members": names, "logs": self.own.logs is not None}
        return {
            "workshop/statistical.safetensors": save(kept),
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


def _added(parts: Sequence[StatisticalFitted], weights: Sequence[float]) -> Spread:
    """Return the weighted sum of spreads, in the mean of their units where these are local."""
    units = [part.spread.least for part in parts if part.spread.least is not None]
    least = np.mean(units, axis=0) if units else None
    offsets = [weight * part.spread.offsets for part, weight in zip(parts, weights, strict=True)]
    return Spread(np.sum(offsets, axis=0), least)


@dataclass(frozen=True)
class Statistical(Learner):
    """Exponential smoothing, theta, autoregression and seasonal forecasts, and their mixture.

    Parameters are shared by all windows of all series; levels, slopes and seasons are estimated in
    each window, so that a new series needs no training.

    Attributes:
        kind: which models are tried; "auto" for all of them, and mixtures.
        period: steps of a season; 0 for none, None finds it.
        logarithm: whether logarithms are forecast, so that trend and season are factors; None
            tries both where all values are positive.
        beside: whether regressions read what is known beside the past: the calendar, fields known
            ahead, other series.
    """

    kind: Annotated[Model, Choice("auto", "ets", "theta", "ar")] = "auto"
    period: int | None = None
    logarithm: Annotated[bool | None, Choice(None, False)] = None
    beside: bool = True

    tasks: ClassVar[frozenset[str]] = frozenset({"forecasting"})

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return unfit_windows(schema)

    def fit(
        self, train: Dataset, valid: Dataset, task: Task, context: Context
    ) -> StatisticalFitted:
        if not isinstance(task, Forecasting):
            raise TrainError(f"A statistical forecast does not learn the task {task.name!r}.")
        front = fit_front(train, style="dense", image=None, kinds=(Kind.SERIES,), context=context)
        return self.fit_with(front, (train, valid), task, context)

    def fit_with(
        self, front: Front, rows: tuple[Dataset, Dataset], task: Forecasting, context: Context
    ) -> StatisticalFitted:
        """Fit to train and valid rows that ``front`` prepares."""
        train = rows[0]
        plain = Own.of(front, train, task)
        given = [Given.of(front, part, task, context) for part in rows]
        clock = Clock.of(train, task.horizon)
        told = clock if self.beside else None
        units, truth = self._units(plain, given[0].y), given[1].y
        found: list[tuple[float, StatisticalFitted]] = []
        with context.stage("statistical", total=len(units), unit="scale") as stage:
            for place, unit in enumerate(units):
                if found and context.seconds_left() <= 0:
                    break
                seen = [seen_of(front, unit, part, task, told) for part in given]
                periods = self._periods(seen[0], clock.step)
                left = context.share(len(units) - place)
                members, _ = choose(self.kind, (seen[0], seen[1]), periods, left)
                affine = mixed(members).rounded()
                said = affine(seen[1].own, seen[1].beside)
                off = np.abs(unit.back(said).transpose(0, 2, 1) - truth).mean(axis=(0, 1))
                loss = float((off / plain.scale).mean())
                spread = fit_spread(seen[1].own, seen[1].y - said, task.quantiles)
                found.append((loss, StatisticalFitted(front, task, unit, affine, spread,
                                                      tuple(members))))  # fmt: skip
                stage.advance(loss=loss)
        best = min(found, key=lambda pair: pair[0])[1]
        names = ", ".join(f"{weight:.0%} {member.name}" for weight, member in best.members)
        context.say(
            f"Statistical forecast: {names}{' of logarithms' if best.own.logs is not None else ''}."
        )
        return best

    def _units(self, plain: Own, y: NDArray[np.float64]) -> list[Own]:
        logs = None if self.logarithm is False else plain.logarithmic(y)
        if self.logarithm and logs is None:
            raise ConfigError(
                "Values to forecast are not all positive, and have no logarithm.",
                fix="Leave logarithm= out.",
            )
        if logs is None:
            return [plain]
        return [logs] if self.logarithm else [plain, logs]

    def _periods(self, train: Seen, step: float | None) -> tuple[int, ...]:
        length = train.own.shape[2]
        if self.period is None:
            return periods_of(train.own, step)
        if self.period > length:
            raise ConfigError(
                f"A season of {self.period} steps is longer than the {length} steps seen.",
                fix="Read with a larger window={'length': ...}.",
            )
        return (self.period,) if self.period > 1 else ()


@dataclass(frozen=True, eq=False)
class Given:
    """Prepared arrays of rows, targets (rows, horizon, series) and weights, or None."""

    arrays: Mapping[str, NDArray[Any]]
    y: Floats
    weights: Floats | None

    @classmethod
    def of(cls, front: Front, rows: Dataset, task: Forecasting, context: Context) -> Given:
        """Prepare rows."""
        y = np.asarray(rows.targets(task), np.float64)
        return cls(front.run(rows, context), y, row_weights(rows, task, balance=False))


def seen_of(front: Front, own: Own, given: Given, task: Forecasting, clock: Clock | None) -> Seen:
    """Return windows, context and targets of prepared rows, in the unit of the windows.

    What ``clock`` has not seen to come back is 0 in the context, so that it gets no weight. There
    is no context without a clock.
    """
    arrays = given.arrays
    told = context_of(front, arrays, own.places)
    if clock is None or told.shape[1] * task.horizon * len(own.places) > _MOST_CONTEXT:
        told = told[:, :0]
    else:
        told[:, clock.unsteady(front)] = 0.0
    return Seen(own.run(arrays[PAST]), told, own.targets(given.y), given.weights)
