"""The learner of forecasts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from torch import nn

from lepta.core.errors import TrainError
from lepta.core.events import Context
from lepta.core.schema import Kind, Schema
from lepta.core.space import Choice, Range
from lepta.data.windows import PAST
from lepta.models.forecast.own import other_channels, past_part, seen_places, unfit_windows
from lepta.models.forecast.statistical import Statistical, StatisticalFitted
from lepta.models.front import Front, fit_front
from lepta.models.learner import Learner
from lepta.models.networks.forecast import Forecaster, ForecastShape
from lepta.models.networks.residual import ResidualForecaster, Statistics
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
    hidden: Annotated[int, Range(32, 512, log=True)] = 256
    local: Annotated[int, Range(32, 256, log=True)] = 128
    dropout: Annotated[float, Range(0.0, 0.5)] = 0.3
    batch: Annotated[int | None, Choice(None, 32, 64, 128, 256)] = None

    tasks: ClassVar[frozenset[str]] = frozenset({"forecasting"})
    name: ClassVar[str] = "forecaster"

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return unfit_windows(schema)

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> NeuralFitted:
        if not isinstance(task, Forecasting):
            raise TrainError(f"A forecaster does not learn the task {task.name!r}.")
        front = fit_front(train, style="dense", image=None, kinds=(Kind.SERIES,), context=context)
        seen = prepared_rows(front, train, task, context)
        watched = prepared_rows(front, valid, task, context)
        shapes = {name: a.shape for name, a in zip(front.names, seen.arrays, strict=True)}
        network = self.network(front, shapes, (train, valid), task, context)
        loop = replace(self.loop, batch=self.batch or _batch(len(train)))
        trained = train_network(network, seen, watched, task, loop, context)
        return NeuralFitted(front, task, trained, shapes, self.name)

    def network(
        self,
        front: Front,
        shapes: Mapping[str, tuple[int, ...]],
        rows: tuple[Dataset, Dataset],
        task: Forecasting,
        context: Context,
    ) -> nn.Module:
        """Return the network before training, for arrays of ``shapes`` of train and valid rows."""
        torch.manual_seed(context.seed)
        part = past_part(front)
        _, channels, length = shapes[PAST]
        whole = sum(math.prod(shape[1:]) for shape in shapes.values())
        shape = ForecastShape(
            place=front.names.index(PAST),
            past=(channels, length),
            others=whole - channels * length,
            targets=seen_places(rows[0], task),
            horizon=task.horizon,
            quantiles=len(task.quantiles),
        )
        moments = torch.from_numpy(part.center), torch.from_numpy(part.scale)
        return Forecaster(shape, moments, self.hidden, self.local, self.dropout)


@dataclass(frozen=True)
class HybridForecastLearner(ForecastLearner):
    """A statistical forecast, and a :class:`ResidualForecaster` that adds what it leaves.

    Attributes:
        statistical: the statistical forecast.
    """

    statistical: Statistical = field(default_factory=Statistical)

    name = "hybrid-forecaster"

    def network(
        self,
        front: Front,
        shapes: Mapping[str, tuple[int, ...]],
        rows: tuple[Dataset, Dataset],
        task: Forecasting,
        context: Context,
    ) -> nn.Module:
        base = self.statistical.fit_with(front, rows, task, context.share(3))
        columns = sum(math.prod(shape[1:]) for shape in shapes.values())
        torch.manual_seed(context.seed)
        known = statistics_of(base, front.names.index(PAST), shapes[PAST][1], columns)
        return ResidualForecaster(known, self.hidden, self.local, self.dropout)


def statistics_of(base: StatisticalFitted, place: int, channels: int, columns: int) -> Statistics:
    """Return a statistical forecast as a network takes it.

    Args:
        base: the forecast.
        place: which of the arrays is the past.
        channels: of the past.
        columns: numbers of all arrays together.
    """
    own, logs = base.own, base.own.logs is not None
    moments = np.stack([own.scale, own.center])
    return Statistics(
        place=place,
        places=own.places,
        others=tuple(other_channels(channels, own.places)),
        columns=columns,
        window=base.affine.window,
        bias=base.affine.bias,
        context=base.affine.context,
        unit=moments if own.logs is None else own.logs[::-1].copy(),
        moments=moments if logs else None,
        least=own.least,
        offsets=base.spread.offsets,
        change=base.spread.least,
    )


def _batch(rows: int) -> int:
    doublings = math.ceil(math.log2(max(rows, 1) / (32 * STEPS)))
    return int(32 << min(3, max(0, doublings)))
