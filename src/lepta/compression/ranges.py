"""Ranges of activations, from rows that run through a graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from lepta.compression.providers import Tensors
from lepta.runtime.session import open_session

Calibrator = Literal["minmax", "percentile", "mse"]
CALIBRATORS: tuple[Calibrator, ...] = ("minmax", "percentile", "mse")
"""How a range is chosen: all that was seen; all but one in ten thousand on either side; what makes
the squared error of rounding and clipping together least."""
_KEPT = 2048
"""Values kept of each activation and batch."""
_TAIL = 1e-4
_SHRINKS = np.linspace(0.2, 1.0, 41)
_LEVELS = 255.0


@dataclass
class Seen:
    """What an activation was: its ends, and some of its values."""

    low: float = np.inf
    high: float = -np.inf
    values: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, values: NDArray[Any], rng: np.random.Generator) -> None:
        """Look at one more batch."""
        flat = np.asarray(values, np.float32).ravel()
        flat = flat[np.isfinite(flat)]
        if not flat.size:
            return
        self.low, self.high = min(self.low, float(flat.min())), max(self.high, float(flat.max()))
        chosen = flat if flat.size <= _KEPT else rng.choice(flat, _KEPT, replace=False)
        self.values.append(chosen)

    def range(self, calibrator: Calibrator) -> tuple[float, float]:
        """Return the range to quantise to; 0 lies in it."""
        if not self.values:
            return 0.0, 0.0
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        if calibrator == "minmax" or low == high:
            return low, high
        values = np.concatenate(self.values)
        if calibrator == "percentile":
            ends = np.quantile(values, [_TAIL, 1 - _TAIL])
            return min(float(ends[0]), 0.0), max(float(ends[1]), 0.0)
        errors = [_error(values, low * share, high * share) for share in _SHRINKS]
        share = float(_SHRINKS[int(np.argmin(errors))])
        return low * share, high * share


def _error(values: NDArray[np.float32], low: float, high: float) -> float:
    """Return the mean squared error of values in eight bits between two ends."""
    step = (high - low) / _LEVELS
    rounded = np.round((np.clip(values, low, high) - low) / step) * step + low
    return float(np.mean((rounded - values) ** 2))


def observe(
    model: ModelProto, names: Iterable[str], batches: Sequence[Tensors], seed: int = 0
) -> dict[str, Seen]:
    """Run rows through a graph and return what its activations were.

    Args:
        model: the graph; it is not changed.
        names: of the activations wanted.
        batches: rows, as graph tensors.
        seed: by which values are chosen.
    """
    watched = ModelProto()
    watched.CopyFrom(model)
    known = {output.name for output in model.graph.output}
    wanted = sorted(set(names))
    for name in wanted:
        if name not in known:
            watched.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = open_session(watched.SerializeToString())
    found = {name: Seen() for name in wanted}
    rng = np.random.default_rng(seed)
    for batch in batches:
        for name, values in zip(wanted, session.run(wanted, dict(batch)), strict=True):
            found[name].add(values, rng)
    return found
