"""The learning-rate finder (Smith 2017, arXiv:1506.01186)."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

from torch import nn

from lepta.engine import Device
from lepta.tasks.objective import Objective
from lepta.training.options import LoopOptions
from lepta.training.rows import Rows, batches, seed_of
from lepta.training.step import Stepper

LOWEST, HIGHEST = 1e-5, 0.3
_SMOOTH = 0.9
_DIVERGED = 4.0


@dataclass(frozen=True)
class RateSearch:
    """What the finder saw.

    Attributes:
        rates: learning rates tried, rising.
        losses: smoothed training loss at each.
        best: the rate at which the loss fell fastest: a good highest rate of a schedule.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    best: float


def find_learning_rate(
    network: nn.Module,
    data: Rows,
    objective: Objective,
    options: LoopOptions,
    device: Device,
    seed: int,
    batch: int = 32,
    steps: int = 80,
) -> RateSearch:
    """Train a copy of the network while the rate rises; stop when the loss has soared.

    Args:
        network: on the device; left as it is.
        data: rows to learn from.
        objective: fitted to them.
        options: how it is to be trained.
        device: where.
        seed: of the order of rows.
        batch: rows in a step.
        steps: at the most.
    """
    step = Stepper(copy.deepcopy(network).train(), data, objective, options, device)
    rates: list[float] = []
    losses: list[float] = []
    mean, lowest, epoch = 0.0, math.inf, 0
    pending = batches(len(data), batch, seed, epoch)
    for number in range(steps):
        if not pending:
            epoch += 1
            pending = batches(len(data), batch, seed, epoch)
        rate = LOWEST * (HIGHEST / LOWEST) ** (number / (steps - 1))
        mean = _SMOOTH * mean + (1 - _SMOOTH) * float(
            step(pending.pop(), seed_of(seed, number), rate)
        )
        loss = mean / (1 - _SMOOTH ** (number + 1))
        if not math.isfinite(loss) or loss > _DIVERGED * lowest:
            break
        lowest = min(lowest, loss)
        rates.append(rate)
        losses.append(loss)
    return RateSearch(tuple(rates), tuple(losses), _steepest(rates, losses))


def _steepest(rates: list[float], losses: list[float], reach: int = 4) -> float:
    """Return the rate at which the loss falls fastest, before the least loss."""
    end = losses.index(min(losses)) if losses else 0
    slopes = [
        (losses[min(at + reach, end)] - losses[max(at - reach, 0)])
        / (min(at + reach, end) - max(at - reach, 0))
        for at in range(1, end)
    ]
    return rates[1 + slopes.index(min(slopes))] if slopes else LOWEST * 100
