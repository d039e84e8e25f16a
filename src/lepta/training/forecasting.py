"""The learner of forecasts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from lepta.core.errors import TrainError
from lepta.core.events import Context
from lepta.core.schema import Kind, Schema
from lepta.data.windows import PAST
from lepta.models.forecast.own import past_part, seen_places, unfit_windows
from lepta.models.front import Front, fit_front
from lepta.models.learner import Learner
from lepta.models.networks.forecast import Forecaster, ForecastShape
from lepta.tasks import Task
from lepta.tasks.forecasting import Forecasting
from lepta.training.loop import LoopOptions, train_network
from lepta.training.neural import NeuralFitted, prepared_rows

if TYPE_CHECKING:
    from lepta.data import Dataset

STEPS = 200
"""Steps of an epoch from which on larger batches are taken, up to 256 windows."""


@dataclass(frozen=True)
class ForecastLearner(Learner):
    """A :class:`~lepta.models.networks.forecast.Forecaster` over windows.

    Attributes:
        loop: how it is trained.
        hidden: width of the part that sees all series.
        local: width of the part that is shared by the series.
        dropout: share of the context that is left out in training.
        batch: windows in a step; None chooses by their number, 32 to 256.
    """

    loop: LoopOptions = field(
        default_factory=lambda: LoopOptions(
            epochs=40, learning_rate=2e-3, weight_decay=0.02, augment=False
        )
    )
    hidden: int = 256
    local: int = 128
    dropout: float = 0.3
    batch: int | None = None

    tasks: ClassVar[frozenset[str]] = frozenset({"forecasting"})

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return unfit_windows(schema)

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> NeuralFitted:
        if not isinstance(task, Forecasting):
            raise TrainError(f"A forecaster does not learn the task {task.name!r}.")
        front = fit_front(train, style="dense", image=None, kinds=(Kind.SERIES,), context=context)
        seen = prepared_rows(front, train, task, context)
        watched = prepared_rows(front, valid, task, context)
        shapes = {name: a.shape for name, a in zip(front.names, seen.arrays, strict=True)}
        torch.manual_seed(context.seed)
        network = self._network(front, shapes, train, task)
        loop = replace(self.loop, batch=self.batch or _batch(len(train)))
        trained = train_network(network, seen, watched, task, loop, context)
        return NeuralFitted(front, task, trained, shapes, "forecaster")

    def _network(
        self,
        front: Front,
        shapes: Mapping[str, tuple[int, ...]],
        train: Dataset,
        task: Forecasting,
    ) -> Forecaster:
        part = past_part(front)
        _, channels, length = shapes[PAST]
        whole = sum(math.prod(shape[1:]) for shape in shapes.values())
        shape = ForecastShape(
            place=front.names.index(PAST),
            past=(channels, length),
            others=whole - channels * length,
            targets=seen_places(train, task),
            horizon=task.horizon,
            quantiles=len(task.quantiles),
        )
        moments = torch.from_numpy(part.center), torch.from_numpy(part.scale)
        return Forecaster(shape, moments, self.hidden, self.local, self.dropout)


def _batch(rows: int) -> int:
    doublings = math.ceil(math.log2(max(rows, 1) / (32 * STEPS)))
    return int(32 << min(3, max(0, doublings)))
