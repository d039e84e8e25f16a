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
        return bool(value * ground.units >= 50.0)
    return bool(value - 0.5 >= _BLATANT * ground.error)


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
    beaten = np.zeros(len(values), np.int64)
    for _ in range(ROUNDS):
        dealt = deal(sources, ground, rng)
        highest = max(quick(alone(source, ground), ground) for source in dealt)
        beaten += highest >= np.array(values)
        if (beaten[open_] > _allowed(ROUNDS)).all():
            break
    for position in np.flatnonzero(open_):
        found[position] = bool(beaten[position] <= _allowed(ROUNDS))
    return found


def real_together(sources: Sequence[Source], value: float, ground: Ground, seed: int) -> bool:
    """Return whether all sources together tell more than chance (level 2.5 %)."""
    if not alarming(value, ground) or blatant(value, ground):
        return blatant(value, ground)
    rng = np.random.default_rng([seed, 2])
    seen = quick(together(sources, ground, seed, trees=_TREES), ground)
    beaten = 0
    for _ in range(ROUNDS_TOGETHER):
        dealt = together(deal(sources, ground, rng), ground, seed, trees=_TREES)
        beaten += quick(dealt, ground) >= seen
        if beaten > _allowed(ROUNDS_TOGETHER):
            return False
    return True


def _allowed(rounds: int) -> int:
    """How many deals may do as well as what was seen: (1 + allowed) / (1 + rounds) <= level."""
    return int(LEVEL * (1 + rounds) + 1e-9) - 1


def deal(sources: Sequence[Source], ground: Ground, rng: np.random.Generator) -> list[Source]:
    """Return the sources with their rows dealt out anew, a group getting those of another."""
    order = _order(ground.groups, len(ground.y), rng)
    return [
        Source(source.name, source.family, source.values[order], source.is_category)
        for source in sources
    ]


def _order(groups: Ints | None, rows: int, rng: np.random.Generator) -> Ints:
    if groups is None:
        return rng.permutation(rows)
    place = np.argsort(groups, kind="stable")
    members = np.split(place, np.flatnonzero(np.diff(groups[place])) + 1)
    order = np.empty(rows, np.int64)
    for mine, other in zip(members, rng.permutation(len(members)), strict=True):
        order[mine] = np.resize(members[other], len(mine))
    return order
