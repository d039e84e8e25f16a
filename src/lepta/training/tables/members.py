"""Many small networks in one, as arrays: what they say in NumPy and in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.models.graph import Graph

_ROWS = 1024
"""Rows that are computed at once."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A dense layer that the members of a group share, each with its own scales and bias.

    Attributes:
        scales: what inputs are multiplied by, (groups, members, inputs).
        weights: (groups, inputs, outputs).
        bias: (groups, members, outputs).
    """

    scales: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Members:
    """Networks whose raw scores are added up.

    Those of one training are a group: they share weights. Groups stand side by side.

    Attributes:
        layers: each followed by max(0, x).
        head: (groups, members * width of the last layer, raw width).
        bias: (raw width,).
    """

    layers: tuple[Layer, ...]
    head: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def shape(self) -> tuple[tuple[int, ...], ...]:
        """Sizes in which groups must agree to stand side by side."""
        return tuple(layer.bias.shape[1:] for layer in self.layers)

    def raw(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return raw scores (rows, raw width) of inputs (rows, inputs)."""
        made = np.empty((len(x), len(self.bias)), np.float32)
        for start in range(0, len(x), _ROWS):
            made[start : start + _ROWS] = self._raw(x[start : start + _ROWS])
        return made

    def _raw(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        groups, rows = len(self.head), len(x)
        values = x[None, :, None, :]
        for layer in self.layers:
            scaled = (values * layer.scales[:, None]).reshape(groups, -1, layer.scales.shape[2])
            members, outputs = layer.bias.shape[1:]
            sums = (scaled @ layer.weights).reshape(groups, rows, members, outputs)
            values = np.maximum(sums + layer.bias[:, None], 0)
        flat = values.reshape(groups, rows, -1)
        return np.asarray((flat @ self.head).sum(axis=0) + self.bias, np.float32)

    def emit(self, graph: Graph, inputs: str) -> str:
        """Add the nodes; return the name of the raw scores."""
        groups = len(self.head)
        values = graph.op("Unsqueeze", inputs, graph.const([0, 2], "int64"))
        for layer in self.layers:
            members, outputs = layer.bias.shape[1:]
            scaled = graph.op("Mul", values, graph.const(layer.scales[:, None]))
            flat = _reshape(graph, scaled, (groups, -1, layer.scales.shape[2]))
            sums = graph.op("MatMul", flat, graph.const(layer.weights))
            split = _reshape(graph, sums, (groups, -1, members, outputs))
            values = graph.op("Relu", graph.op("Add", split, graph.const(layer.bias[:, None])))
        joined = _reshape(graph, values, (groups, -1, self.head.shape[1]))
        scores = graph.op("MatMul", joined, graph.const(self.head))
        total = graph.op("ReduceSum", scores, graph.const([0], "int64"), keepdims=0)
        return graph.op("Add", total, graph.const(self.bias))

    @classmethod
    def add(cls, parts: Sequence[Members], weights: Sequence[float]) -> Members:
        """Return the weighted sum of several of one shape."""
        layers = tuple(
            Layer(**{f.name: np.concatenate([getattr(one, f.name) for one in same])
                     for f in fields(Layer)})
            for same in zip(*(part.layers for part in parts), strict=True)
        )  # fmt: skip
        shares = np.asarray(weights, np.float32)
        heads = [part.head * share for part, share in zip(parts, shares, strict=True)]
        bias = sum(part.bias * share for part, share in zip(parts, shares, strict=True))
        return replace(
            parts[0], layers=layers, head=np.concatenate(heads), bias=np.asarray(bias, np.float32)
        )

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name."""
        found: dict[str, NDArray[Any]] = {"head": self.head, "bias": self.bias}
        for number, layer in enumerate(self.layers):
            found |= {f"{f.name}_{number}": getattr(layer, f.name) for f in fields(Layer)}
        return found


def _reshape(graph: Graph, value: str, shape: tuple[int, ...]) -> str:
    return graph.op("Reshape", value, graph.const(shape, "int64"))
