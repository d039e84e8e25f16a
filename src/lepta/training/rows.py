"""What a network learns from, and in which order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Prepared arrays in the order in which the network takes them, targets, and row weights.

    Attributes:
        arrays: each with rows first.
        y: targets, as the task's objective takes them: an array with rows first (classes,
            numbers, masks), or a list with one item a row (boxes).
        weights: (rows,), or None where all rows count the same.
        pictures: which arrays are images that may be turned and brightened, (rows, channels,
            height, width); None: all with four axes.
    """

    arrays: Sequence[NDArray[Any]]
    y: Any
    weights: NDArray[np.float64] | None = None
    pictures: Sequence[bool] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, rows: NDArray[np.int64]) -> list[Tensor]:
        """Return the chosen rows as tensors."""
        return [torch.from_numpy(np.ascontiguousarray(array[rows])) for array in self.arrays]

    def weight(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the weights of the chosen rows."""
        return np.ones(len(rows)) if self.weights is None else self.weights[rows]

    def are_pictures(self) -> list[bool]:
        """Return which arrays are images."""
        if self.pictures is not None:
            return list(self.pictures)
        return [array.ndim == 4 for array in self.arrays]


def seed_of(*numbers: int) -> int:
    """Return one seed that depends on all ``numbers``: randomness that needs no memory.

    Every random choice is made by a generator seeded from what it is for (seed, epoch, step,
    worker), so that a resumed run makes the same ones.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def count_steps(rows: int, batch: int) -> int:
    """Return the steps of an epoch; none has a single row unless ``batch`` is one."""
    steps = max(1, math.ceil(rows / batch))
    return max(1, rows // 2) if batch > 1 and rows // steps < 2 else steps


def batches(rows: int, batch: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Return the rows of each step of an epoch: each row once, in a new order each epoch."""
    generator = torch.Generator().manual_seed(seed_of(seed, epoch))
    order = torch.randperm(rows, generator=generator).numpy()
    return np.array_split(order, count_steps(rows, batch))


def share(rows: NDArray[np.int64], rank: int, world: int) -> NDArray[np.int64]:
    """Return one worker's part of a batch; together the workers take each row once."""
    return np.array_split(rows, world)[rank]
