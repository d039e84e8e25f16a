"""How the learning rate changes while training goes on."""

from __future__ import annotations

import math
from collections.abc import Callable


def one_cycle(progress: float, warm: float = 0.2) -> float:
    """Rise linearly, then fall as a cosine (Smith & Topin 2017, arXiv:1708.07120)."""
    if progress < warm:
        return 0.05 + 0.95 * progress / warm
    return max(0.001, 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm))))


def cosine(progress: float) -> float:
    """Fall as a cosine after a short rise (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    return one_cycle(progress, warm=0.05)


def constant(progress: float) -> float:
    """Stay."""
    return 1.0


SCHEDULES: dict[str, Callable[[float], float]] = {
    "one_cycle": one_cycle,
    "cosine": cosine,
    "constant": constant,
}
"""Share of the highest rate by the share of the steps done, both in [0, 1]."""
