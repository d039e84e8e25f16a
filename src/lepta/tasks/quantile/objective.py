"""Pinball loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepta.tasks.base import Task
from lepta.tasks.objective import Objective
from lepta.tasks.quantile import Quantile

SMOOTH = 0.01
"""Width, in standard deviations of the target, within which the corner of the loss is rounded."""


class Pinball(Objective):
    """Pinball loss (Koenker & Bassett 1978), mean over the quantiles, in units of the spread.

    Its corner is rounded, so that second-order methods converge too.
    """

    def __init__(self, task: Task, *, focal: float = 0.0, smoothing: float = 0.0) -> None:
        super().__init__(task, focal=focal, smoothing=smoothing)
        assert isinstance(task, Quantile)  # noqa: S101
        self.levels = torch.tensor(task.quantiles)

    def fit(self, y: Any) -> None:
        values = np.asarray(y, np.float64)
        middle = np.quantile(values, self.levels.double().numpy())
        self.center = torch.tensor(middle, dtype=torch.float32)
        self.scale = torch.full_like(self.center, float(values.std()) or 1.0)

    def losses(self, raw: Tensor, y: Any) -> Tensor:
        off = (y.to(raw.dtype)[:, None] - raw) / self.scale.to(raw)
        size = (off.square() + SMOOTH**2).sqrt()
        losses: Tensor = (0.5 * size + (self.levels.to(raw) - 0.5) * off).mean(dim=1)
        return losses
