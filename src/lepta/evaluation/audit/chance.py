"""What chance alone would give: the audit repeated on metadata dealt out at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lepta.evaluation.audit.sources import Source
from lepta.evaluation.audit.strength import Ground, Ints, alone, quick, together

ROUNDS = 99
ROUNDS_TOGETHER = 39
LEVEL = 0.025
_BLATANT = 6.0
_TREES = 25
WEAK, WEAK_R2 = 0.6, 0.1
"""AUC and R² below which a shortcut, even a real one, is too weak to be worth an alarm."""


def alarming(value: float, ground: Ground) -> bool:
    """Whether a strength is worth an alarm if it is real."""
    return value >= (WEAK if ground.task.is_classification else WEAK_R2)


def blatant(value: float, ground: Ground) -> bool:
    """Whether a strength is so far from chance that no test is needed."""
    if not ground.task.is_classification:
        return value * ground.units >= 50.0
    return value - 0.5 >= _BLATANT * ground.error


def real_alone(
    sources: Sequence[Source], values: Sequence[float], ground: Ground, seed: int
) -> list[bool | None]:
    """Return for each source whether its strength is more than chance.

    The strongest of all sources in 99 random deals is the yardstick, so that trying many sources
    does not find a shortcut where there is none (family-wise level 2.5 %). None where the strength
    is too weak to matter and was not tested.
    """
    open_ = [alarming(v, ground) and not blatant(v, ground) for v in values]
    found: list[bool | None] = [True if blatant(v, ground) else None for v in values]
    if not any(open_):
        return found
    rng = np.random.default_rng([seed, 1])
    highest = np.empty(ROUNDS)
    for turn in range(ROUNDS):
        dealt = deal(sources, ground, rng)
        highest[turn] = max(quick(alone(source, ground), ground) for source in dealt)
    for position, value in enumerate(values):
        if open_[position]:
            found[position] = _rare(value, highest)
    return found


def real_together(sources: Sequence[Source], value: float, ground: Ground, seed: int) -> bool:
    """Return whether all sources together tell more than chance (level 2.5 %)."""
    if not alarming(value, ground) or blatant(value, ground):
        return blatant(value, ground)
    rng = np.random.default_rng([seed, 2])
    seen = quick(together(sources, ground, seed, trees=_TREES), ground)
    dealt = [
        quick(together(deal(sources, ground, rng), ground, seed, trees=_TREES), ground)
        for _ in range(ROUNDS_TOGETHER)
    ]
    return _rare(seen, np.array(dealt))


def deal(sources: Sequence[Source], ground: Ground, rng: np.random.Generator) -> list[Source]:
    """Return the sources with their rows dealt out anew, rows of one group in one piece."""
    order = _order(ground.groups, len(ground.y), rng)
    return [
        Source(source.name, source.family, source.values[order], source.is_category)
        for source in sources
    ]


def _order(groups: Ints | None, rows: int, rng: np.random.Generator) -> Ints:
    if groups is None:
        return rng.permutation(rows)
    place = np.argsort(groups, kind="stable")
    turn = rng.permutation(int(groups.max()) + 1)
    dealt = np.argsort(turn[groups], kind="stable")
    order = np.empty(rows, np.int64)
    order[place] = dealt
    return order


def _rare(value: float, dealt: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    return (1 + np.count_nonzero(dealt >= value)) / (1 + len(dealt)) <= LEVEL

