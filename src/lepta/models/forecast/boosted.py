"""The learner of forecasts by gradient-boosted trees over lags, seasons and the calendar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import TrainError
from lepta.core.events import Context
from lepta.core.schema import Kind, Schema
from lepta.core.space import Choice
from lepta.data.windows import PAST
from lepta.models.forecast.clock import Clock
from lepta.models.forecast.lags import Lags
from lepta.models.forecast.own import unfit_windows
from lepta.models.forecast.periods import periods_of
from lepta.models.forecast.regression import forecasts_of
from lepta.models.forecast.spread import Spread, fit_spread
from lepta.models.forecast.statistical import Given, Statistical, StatisticalFitted
from lepta.models.front import Front, fit_front
from lepta.models.graph import Graph
from lepta.models.learner import Fitted, Learner
from lepta.models.trees.fitted import Rows
from lepta.models.trees.learner import Booster, Trees
from lepta.tasks import Task
from lepta.tasks.forecasting import Forecasting

if TYPE_CHECKING:
    from lepta.data import Dataset

Floats = NDArray[np.float64]
_WATCHED = 60_000
"""Most cells (a window, series and step ahead) that early stopping looks at."""
_SPREAD = 2_000_000
"""Most cells from whose errors quantiles are learned."""


@dataclass(frozen=True)
class BoostedForecast(Fitted):
    """Trees that add to a statistical forecast.

    Attributes:
        base: the statistical forecast.
        lags: what the trees read.
        booster: the trees.
        spread: quantiles around the sum.
        learner: how they were grown.
    """

    front: Front
    task: Forecasting
    base: StatisticalFitted
    lags: Lags
    booster: Booster
    spread: Spread
    learner: ForecastTrees

    def refit(self, rows: Dataset, context: Context) -> BoostedForecast:
        base = self.base.refit(rows, context)
        lags = replace(self.lags, affine=base.affine)
        learner = self.learner
        booster = learner.boost(lags, rows, None, self.task, self.booster.rounds, context)
        return replace(self, base=base, lags=lags, booster=booster)

    def raw(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        parts = []
        for rows in np.array_split(np.arange(len(arrays[PAST])), max(1, len(arrays[PAST]) // 4096)):
            chunk = {name: array[rows] for name, array in arrays.items()}
            own, middle = self.base.middle(chunk)
            middle = self.learner.start(middle) + self.added(chunk, middle.shape)
            parts.append(self.base.own.scores(self.spread.around(middle, own)))
        return np.concatenate(parts)

    def added(self, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, ...]) -> Floats:
        """Return what the trees add, (rows, series, horizon)."""
        x = self.lags.run(arrays, np.arange(len(arrays[PAST])))
        return self.booster.raw(x).reshape(shape)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        own, middle = self.base.emit_middle(graph, values)
        matrix = self.lags.emit(graph, values, own, middle)
        cells = self.booster.trees().emit(graph, matrix, 1)
        shape = graph.const([-1, self.lags.series, self.lags.horizon], "int64")
        added = graph.op("Cast", graph.op("Reshape", cells, shape), to=11)
        if self.learner.residual:
            added = graph.op("Add", middle, added)
        levels = self.spread.emit(graph, added, own)
        return self.base.own.emit_scores(graph, levels, self.task)

    def workshop(self) -> dict[str, bytes]:
        text = {} if self.booster.model is None else {
            "workshop/lightgbm.txt": self.booster.model.model_to_string().encode()
        }  # fmt: skip
        recipe = {
            "learner": "forecast-trees",
            "periods": self.lags.periods,
            "residual": self.learner.residual,
        }
        base = self.base.workshop()["workshop/statistical.safetensors"]
        return {
            **text,
            "workshop/statistical.safetensors": base,
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


@dataclass(frozen=True)
class ForecastTrees(Learner):
    """LightGBM over what was seen and what is known ahead, one row a window, series and step.

    Attributes:
        trees: how trees are grown.
        residual: whether they add to the statistical forecast, or forecast from nothing; they read
            it either way.
        recent: last values read.
        cells: rows that trees are grown on at the most, drawn at random.
    """

    trees: Trees = field(
        default_factory=lambda: Trees(
            rounds=1000,
            patience=30,
            learning_rate=0.06,
            leaves=31,
            min_rows=40,
            columns=0.7,
            l2=1.0,
        )
    )
    residual: Annotated[bool, Choice(True, False)] = True
    recent: Annotated[int, Choice(4, 12, 24)] = 12
    cells: int = 250_000

    tasks: ClassVar[frozenset[str]] = frozenset({"forecasting"})

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return unfit_windows(schema)

    def start(self, middle: Floats) -> Floats:
        """Return what the trees add to, for a statistical forecast."""
        return middle if self.residual else np.zeros_like(middle)

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> BoostedForecast:
        if not isinstance(task, Forecasting):
            raise TrainError(f"Trees of lags do not learn the task {task.name!r}.")
        front = fit_front(train, style="dense", image=None, kinds=(Kind.SERIES,), context=context)
        base = Statistical().fit_with(front, (train, valid), task, context.share(4))
        return self.fit_on(base, (train, valid), context)

    def fit_on(
        self, base: StatisticalFitted, rows: tuple[Dataset, Dataset], context: Context
    ) -> BoostedForecast:
        """Fit to train and valid rows, beginning with a statistical forecast."""
        train, valid = rows
        lags, task = self._lags(base, train, context), base.task
        booster = self.boost(lags, train, valid, task, self.trees.rounds, context)
        plain = Spread(np.zeros((1, 1, len(task.quantiles))))
        made = BoostedForecast(base.front, task, base, lags, booster, plain, self)
        most = max(64, _SPREAD // (lags.series * lags.horizon))
        held = valid.take(np.linspace(0, len(valid) - 1, min(most, len(valid))).astype(int))
        given = Given.of(base.front, held, task, context)
        own, middle = base.middle(given.arrays)
        errors = (
            base.own.targets(given.y) - self.start(middle) - made.added(given.arrays, middle.shape)
        )
        return replace(made, spread=fit_spread(own, errors, task.quantiles))

    def _lags(self, base: StatisticalFitted, train: Dataset, context: Context) -> Lags:
        clock = Clock.of(train, base.task.horizon)
        some = train.take(np.linspace(0, len(train) - 1, min(len(train), 512)).astype(int))
        own = base.own.run(base.front.run(some, context)[PAST])
        periods = periods_of(own, clock.step)[:3]
        recent = min(self.recent, base.affine.length)
        return Lags(base.front, base.own, base.affine, recent, periods, clock)

    def boost(
        self,
        lags: Lags,
        train: Dataset,
        valid: Dataset | None,
        task: Forecasting,
        rounds: int,
        context: Context,
    ) -> Booster:
        """Return trees grown on ``train``, stopped early by ``valid`` where it is given."""
        grown = self._cells(lags, train, task, self.cells, context)
        watched = None if valid is None else self._cells(lags, valid, task, _WATCHED, context)
        categorical = [] if lags.identity is None else [lags.identity]
        objective = {"objective": "l1"}
        return Booster(self.trees.boost(categorical, objective, grown, watched, rounds, context))

    def _cells(
        self, lags: Lags, rows: Dataset, task: Forecasting, most: int, context: Context
    ) -> Rows:
        """Return at most ``most`` cells of rows, drawn at random."""
        each = lags.series * lags.horizon
        windows = min(len(rows), max(64, 4 * most // each))
        some = rows.take(np.linspace(0, len(rows) - 1, windows).astype(int))
        given = Given.of(lags.front, some, task, context)
        _, middle = forecasts_of(lags.front, lags.own, lags.affine, given.arrays)
        target = (lags.own.targets(given.y) - self.start(middle)).ravel()
        x = lags.run(given.arrays, np.arange(windows))
        weights = None if given.weights is None else given.weights.repeat(each)
        if len(x) > most:
            kept = np.sort(np.random.default_rng(context.seed).choice(len(x), most, replace=False))
            x, target = x[kept], target[kept]
            weights = None if weights is None else weights[kept]
        return Rows(x, target, weights)
