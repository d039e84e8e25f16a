"""What trees read of a window for each step ahead: lags, seasons, calendar, what is known ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.data.windows import AHEAD, PAST
from lepta.models.forecast.clock import CYCLES, Clock, clock_place, table_width
from lepta.models.forecast.filters import seasonal_naive
from lepta.models.forecast.own import Own, other_channels, past_part
from lepta.models.forecast.regression import Affine, emit_forecasts
from lepta.models.front import TABLE, Front
from lepta.models.front.base import OnlyFields
from lepta.models.graph import Graph
from lepta.runtime.session import open_session

Floats = NDArray[np.float64]
_OTHERS = 16
"""Most channels that are seen but not forecast of which the last value is read."""
_CHUNK = 512


@dataclass(frozen=True, eq=False)
class Lags(OnlyFields):
    """One row of numbers for each window, series and step ahead.

    The graph that ships computes them in training too. What is linear in the window is computed in
    float64 and then rounded, so that a row takes the same path through the trees in any batch.

    Attributes:
        front: what prepares the arrays.
        own: windows of the series to forecast.
        affine: the statistical forecast, one of the columns.
        recent: last values read.
        periods: seasons, in steps.
        clock: the calendar.
    """

    front: Front
    own: Own
    affine: Affine
    recent: int
    periods: tuple[int, ...]
    clock: Clock

    @property
    def horizon(self) -> int:
        """Steps ahead."""
        return int(self.affine.window.shape[-1])

    @property
    def series(self) -> int:
        """Series forecast."""
        return len(self.own.places)

    @cached_property
    def identity(self) -> int | None:
        """Column of the number of the series, None where there is one only."""
        return 1 if self.series > 1 else None

    def run(self, arrays: Mapping[str, NDArray[Any]], rows: NDArray[Any]) -> NDArray[np.float32]:
        """Return (rows * series * horizon, columns) of some rows of prepared arrays."""
        names = self.front.names
        parts = [
            self._session.run(None, {f"x{k}": arrays[name][some] for k, name in enumerate(names)})[
                0
            ]
            for some in np.array_split(rows, max(1, len(rows) * self.series // _CHUNK))
        ]
        return np.concatenate(parts)

    @cached_property
    def _session(self) -> Any:
        graph = Graph()
        names = self.front.names
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(names, (-1, -1))
        shapes |= {part.source.name: part.out_shape for part in self.front.fields}
        values = {n: graph.input(f"x{k}", "float32", shapes[n]) for k, n in enumerate(names)}
        own, middle = emit_forecasts(graph, self.front, self.own, self.affine, values)
        graph.output(self.emit(graph, values, own, middle), "lags", "float32", (-1, -1))
        return open_session(graph.build().SerializeToString())

    def emit(self, graph: Graph, values: Mapping[str, str], own: str, middle: str) -> str:
        """Add the nodes; return the name of the matrix (rows * series * horizon, columns).

        Args:
            graph: the graph.
            values: prepared arrays by name.
            own: windows (rows, series, length), float64.
            middle: the statistical forecast (rows, series, horizon), float64.
        """
        last = graph.const([3], "int64")
        rows = graph.op(
            "Slice", graph.op("Shape", own), *(graph.const([v], "int64") for v in (0, 1))
        )
        whole = graph.op(
            "Concat", rows, graph.const([self.series, self.horizon, 1], "int64"), axis=0
        )
        steps = np.arange(1, self.horizon + 1, dtype=np.float32).reshape(1, 1, -1, 1)
        parts = [graph.const(steps)]
        if self.identity is not None:
            numbers = np.arange(self.series, dtype=np.float32)
            parts.append(graph.const(numbers.reshape(1, -1, 1, 1)))
        parts.append(graph.op("Unsqueeze", graph.op("Cast", middle, to=1), last))
        parts += self._linear(graph, own)
        parts += self._beside_steps(graph, values)
        parts = [graph.op("Expand", part, whole) for part in parts]
        matrix = graph.op("Concat", *parts, axis=3)
        return graph.op("Reshape", matrix, graph.const([-1, self._columns(values)], "int64"))

    def _linear(self, graph: Graph, own: str) -> list[str]:
        """What is linear in the window: of all steps together, and step by step."""
        still, moving = self._matrices()
        length, columns = still.shape
        matrix = np.concatenate([still, moving.reshape(length, -1)], axis=1)
        told = graph.op("Cast", graph.op("MatMul", own, graph.const(matrix)), to=1)
        sizes = graph.const([columns, moving[0].size], "int64")
        first, second = graph.ops("Split", 2, told, sizes, axis=2)
        parts = [graph.op("Unsqueeze", first, graph.const([2], "int64"))]
        if moving.size:
            shape = graph.const([0, 0, *moving.shape[1:]], "int64")
            parts.append(graph.op("Reshape", second, shape))
        return parts

    def _matrices(self) -> tuple[Floats, Floats]:
        """Return (length, columns) and (length, horizon, columns)."""
        length = self.affine.length
        recent = np.eye(length)[:, ::-1][:, : self.recent]
        changes = recent[:, 1:] - recent[:, :1]
        means = np.zeros((length, len(self.periods) + 1))
        means[:, -1] = 1.0 / length
        for place, period in enumerate(self.periods):
            means[-period:, place] = 1.0 / period
        still = np.concatenate([recent[:, :1], changes, means], axis=1)
        moving = [
            np.roll(seasonal_naive(length, self.horizon + 2 * period, period), -shift, axis=1)[
                :, : self.horizon
            ]
            for period in self.periods
            for shift in ((0,) if period < 4 else (period - 1, 0, 1))
        ]
        return still, np.stack(moving, axis=2) if moving else np.zeros((length, self.horizon, 0))

    def _beside_steps(self, graph: Graph, values: Mapping[str, str]) -> list[str]:
        """What is not of the window: channels seen, known ahead, table and calendar."""
        parts = []
        others = self._others()
        if others:
            last = graph.op("Gather", values[PAST], graph.const(-1, "int64"), axis=2)
            parts.append(
                _flat(graph, graph.op("Gather", last, graph.const(others, "int64"), axis=1))
            )
        if AHEAD in values:
            turned = graph.op("Transpose", values[AHEAD], perm=[0, 2, 1])
            parts.append(graph.op("Unsqueeze", turned, graph.const([1], "int64")))
        plain, clock = self._table_columns()
        if plain:
            chosen = graph.op("Gather", values[TABLE], graph.const(plain, "int64"), axis=1)
            parts.append(_flat(graph, chosen))
        if clock:
            now = graph.op("Gather", values[TABLE], graph.const(clock, "int64"), axis=1)
            later = graph.op("Add", _flat(graph, now), graph.const(self._turns()))
            parts.append(graph.op("Sub", later, graph.op("Floor", later)))
        return parts

    def _others(self) -> list[int]:
        others = other_channels(len(past_part(self.front).center), self.own.places)
        return others if len(others) <= _OTHERS else []

    def _table_columns(self) -> tuple[list[int], list[int]]:
        """Return columns of the table that hold for all steps, and those of the calendar."""
        table = self.front.table
        if table is None:
            return [], []
        width = table_width(table)
        first = None if self.clock.step is None else clock_place(self.front)
        told = [] if first is None else [first + 3 * (n + 1) for n in self.clock.cycles]
        return list(range(width)), told

    def _turns(self) -> NDArray[np.float32]:
        """Return the part of each cycle from the first step to each, (1, 1, horizon, cycles).

        A little more, so that rounding does not tell midnight from midnight.
        """
        passed = np.arange(self.horizon)[:, None] * float(self.clock.step or 0.0)
        lengths = np.array([CYCLES[cycle] for cycle in self.clock.cycles])
        return np.asarray(passed / lengths + 1e-4, np.float32)[None, None]

    def _columns(self, values: Mapping[str, str]) -> int:
        still, moving = self._matrices()
        known = 0 if AHEAD not in values else self._known()
        count = 2 + int(self.identity is not None) + still.shape[1] + moving.shape[2]
        beside = len(self._others()) + known + sum(map(len, self._table_columns()))
        return int(count + beside)

    def _known(self) -> int:
        part = next(part for part in self.front.fields if part.source.name == AHEAD)
        return int(part.out_shape[1])


def _flat(graph: Graph, value: str) -> str:
    """Return (rows, columns) as (rows, 1, 1, columns)."""
    return graph.op("Unsqueeze", value, graph.const([1, 2], "int64"))
