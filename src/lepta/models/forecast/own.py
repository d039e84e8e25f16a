"""Windows of the series to forecast, out of the prepared arrays, and the way back to their unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import TrainError
from lepta.core.schema import Kind, Schema
from lepta.data.windows import PAST
from lepta.models.front import Front
from lepta.models.front.series import SeriesFront
from lepta.models.graph import Graph
from lepta.tasks.forecasting import Forecasting

if TYPE_CHECKING:
    from lepta.data import Dataset

Floats = NDArray[np.float64]
_DOUBLE, _FLOAT = 11, 1
"""ONNX's numbers of float64 and float32."""


def unfit_windows(schema: Schema) -> str:
    """Return why rows are no windows of which the past is seen, or an empty string."""
    found = any(f.name == PAST and f.kind == Kind.SERIES for f in schema.inputs)
    return "" if found else f"there is no field {PAST!r}: read with window={{'length': ...}}"


def seen_places(data: Dataset, task: Forecasting) -> tuple[int, ...]:
    """Return the channel of ``past`` that holds each series to forecast, -1 where none does."""
    seen = () if data.window is None else data.window.past
    return tuple(seen.index(name) if name in seen else -1 for name in task.fields)


def past_part(front: Front) -> SeriesFront:
    """Return the part of the preprocessing that prepares ``past``."""
    part = next(part for part in front.fields if part.source.name == PAST)
    assert isinstance(part, SeriesFront)  # noqa: S101
    return part


@dataclass(frozen=True, eq=False)
class Own:
    """Windows of the series to forecast, float64, and their unit.

    Values are standardised, or the logarithm of the values is. What is missing before a series
    begins holds its first value. The graph computes in float64 too: trees that read what is
    computed here then take the same path whatever the batch.

    Attributes:
        places: channels of ``past``.
        center, scale: mean and standard deviation of each channel as ``past`` is prepared by.
        logs: mean and standard deviation of each channel's logarithm, (2, series); None where
            values are not taken as logarithms.
        least: values below are raised to this before their logarithm is taken.
    """

    places: tuple[int, ...]
    center: Floats
    scale: Floats
    logs: Floats | None = None
    least: Floats | None = None

    @classmethod
    def of(cls, front: Front, data: Dataset, task: Forecasting) -> Own:
        """Return the windows of the series that ``task`` forecasts.

        Raises:
            TrainError: the past of one of them is not seen.
        """
        places = seen_places(data, task)
        if min(places) < 0:
            unseen = task.fields[places.index(-1)]
            raise TrainError(
                f"The past of {unseen!r} is not seen, from which a statistical model goes on.",
                fix=f"Name it in window={{'past': ['{unseen}', ...]}}, or take the learner "
                "'forecaster'.",
            )
        part, chosen = past_part(front), list(places)
        center, scale = (np.asarray(m, np.float64)[chosen] for m in (part.center, part.scale))
        return cls(places, center, scale)

    def logarithmic(self, y: Floats) -> Own | None:
        """Return the same windows by their logarithms; None where values may not be positive.

        Args:
            y: targets of the training rows (rows, horizon, series).
        """
        flat = y.reshape(-1, y.shape[2])
        low = flat.min(axis=0)
        if (low <= 0).any():
            return None
        logs = np.log(flat)
        spread = np.where(logs.std(axis=0) > 0, logs.std(axis=0), 1.0)
        moments = np.stack([logs.mean(axis=0), spread])
        return Own(self.places, self.center, self.scale, moments, low / 2.0)

    def run(self, past: NDArray[np.float32]) -> Floats:
        """Return windows (rows, series, length) of the prepared past (rows, channels, length)."""
        own = past[:, list(self.places)]
        first = np.argmax(own != 0.0, axis=2)[..., None]
        value = np.take_along_axis(own, first, axis=2)
        own = np.where(np.arange(own.shape[2]) < first, value, own).astype(np.float64)
        if self.logs is None or self.least is None:
            return np.asarray(own)
        unit = np.maximum(own * self.scale[:, None] + self.center[:, None], self.least[:, None])
        return np.asarray((np.log(unit) - self.logs[0][:, None]) / self.logs[1][:, None])

    def emit(self, graph: Graph, past: str, length: int) -> str:
        """Add what :meth:`run` does to ``length`` steps; return the windows' name, float64."""
        own = graph.op("Gather", past, graph.const(list(self.places), "int64"), axis=1)
        there = graph.op("Not", graph.op("Equal", own, graph.const(0.0, "float32")))
        first = graph.op("ArgMax", graph.op("Cast", there, to=6), axis=2, keepdims=1)
        value = graph.op("GatherElements", own, first, axis=2)
        before = graph.op("Less", graph.const(np.arange(length), "int64"), first)
        own = graph.op("Cast", graph.op("Where", before, value, own), to=_DOUBLE)
        if self.logs is None or self.least is None:
            return own
        unit = _affine(graph, own, self.scale[:, None], self.center[:, None])
        log = graph.op("Log", graph.op("Max", unit, graph.const(self.least[:, None])))
        return graph.op("Div", graph.op("Sub", log, graph.const(self.logs[0][:, None])),
                        graph.const(self.logs[1][:, None]))  # fmt: skip

    def targets(self, y: Floats) -> Floats:
        """Return targets (rows, horizon, series) in the windows' unit, (rows, series, horizon)."""
        turned = y.transpose(0, 2, 1)
        if self.logs is None or self.least is None:
            return np.asarray((turned - self.center[:, None]) / self.scale[:, None])
        logs = np.log(np.maximum(turned, self.least[:, None]))
        return np.asarray((logs - self.logs[0][:, None]) / self.logs[1][:, None])

    def back(self, levels: Floats) -> Floats:
        """Return values (rows, series, horizon, ...) in the windows' unit in the targets' unit."""
        shape = (-1, *(1,) * (levels.ndim - 2))
        if self.logs is not None:
            return np.asarray(np.exp(levels * self.logs[1].reshape(shape)
                                     + self.logs[0].reshape(shape)))  # fmt: skip
        return np.asarray(levels * self.scale.reshape(shape) + self.center.reshape(shape))

    def scores(self, levels: Floats) -> NDArray[np.float32]:
        """Return the raw scores of quantiles (rows, series, horizon, levels) in that unit."""
        turned = self.back(levels).transpose(0, 2, 1, 3)
        return np.asarray(turned.reshape(len(turned), -1), np.float32)

    def emit_scores(self, graph: Graph, levels: str, task: Forecasting) -> str:
        """Add what :meth:`scores` does, to quantiles in float64; return float32 raw scores."""
        shape = (-1, 1, 1)
        if self.logs is not None:
            factor, offset = self.logs[1].reshape(shape), self.logs[0].reshape(shape)
            unit = graph.op("Exp", _affine(graph, levels, factor, offset))
        else:
            unit = _affine(graph, levels, self.scale.reshape(shape), self.center.reshape(shape))
        turned = graph.op("Transpose", graph.op("Cast", unit, to=_FLOAT), perm=[0, 2, 1, 3])
        return graph.op("Reshape", turned, graph.const([-1, task.width], "int64"))


def _affine(graph: Graph, value: str, factor: Floats, offset: Floats) -> str:
    return graph.op("Add", graph.op("Mul", value, graph.const(factor)), graph.const(offset))


def context_of(front: Front, arrays: Mapping[str, NDArray[Any]], places: tuple[int, ...]) -> Floats:
    """Return what is known beside the past: (rows, columns), float64.

    That is the table, what is known ahead, and the last value of each channel that is seen but not
    forecast.
    """
    parts = [np.asarray(arrays[name]).reshape(len(arrays[name]), -1)
             for name in front.names if name != PAST]  # fmt: skip
    others = other_channels(arrays[PAST].shape[1], places)
    parts.append(arrays[PAST][:, others, -1])
    return np.asarray(np.concatenate(parts, axis=1), np.float64)


def emit_context(
    graph: Graph, front: Front, values: Mapping[str, str], places: tuple[int, ...]
) -> str:
    """Add what :func:`context_of` does; return the name of the matrix, float64."""
    flat = [graph.op("Flatten", values[name], axis=1) for name in front.names if name != PAST]
    others = other_channels(len(past_part(front).center), places)
    if others:
        last = graph.op("Gather", values[PAST], graph.const(-1, "int64"), axis=2)
        flat.append(graph.op("Gather", last, graph.const(others, "int64"), axis=1))
    whole = graph.op("Concat", *flat, axis=1) if len(flat) > 1 else flat[0]
    return graph.op("Cast", whole, to=_DOUBLE)


def other_channels(channels: int, places: tuple[int, ...]) -> list[int]:
    """Return the channels that are seen but not forecast."""
    return [channel for channel in range(channels) if channel not in places]
