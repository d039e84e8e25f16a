"""Lay buffers that are not in use at the same time over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(eq=False)
class Buffer:
    """Some elements of one type, in use from step ``first`` to step ``last``, both included."""

    name: str
    kind: str
    size: int
    first: int
    last: int
    offset: int = 0


def place(buffers: Sequence[Buffer]) -> dict[str, int]:
    """Give each buffer its offset; return how many elements of each type are needed.

    The largest come first, each at the lowest place where nothing stands that is in use at the same
    time (greedy by size: Pisarchyk and Lee 2020, "Efficient Memory Management for Deep Neural Net
    Inference").
    """
    needed: dict[str, int] = {}
    placed: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.first)):
        others = sorted(
            (
                other
                for other in placed
                if other.kind == buffer.kind
                and other.first <= buffer.last
                and buffer.first <= other.last
            ),
            key=lambda other: other.offset,
        )
        offset = 0
        for other in others:
            if offset + buffer.size <= other.offset:
                break
            offset = max(offset, other.offset + other.size)
        buffer.offset = offset
        placed.append(buffer)
        needed[buffer.kind] = max(needed.get(buffer.kind, 0), offset + buffer.size)
    return needed
