"""Which function writes which operator."""

from __future__ import annotations

from collections.abc import Callable

from lepta.edge.c.writer import Writer
from lepta.edge.program import Node

Lowering = Callable[[Writer, Node], None]

LOWERINGS: dict[str, Lowering] = {}
"""By operator; those outside the standard carry their domain."""


def lowers(*operators: str) -> Callable[[Lowering], Lowering]:
    """Register the function that writes some operators."""

    def register(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(operators, function))
        return function

    return register


def axis_of(node: Node, rank: int, default: int) -> int:
    """Return the axis of a node, counted from the front."""
    axis = int(node.get("axis", default))
    return axis + rank if axis < 0 else axis
