"""The pinball loss of quantile forecasts (Koenker & Bassett 1978)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepta.tasks.forecasting import Forecasting
from lepta.tasks.objective import Objective


class Pinball(Objective):
    """Mean pinball loss over horizon, fields and quantiles, in units of each field's spread."""

    task: Forecasting

    def fit(self, y: Any) -> None:
        values = np.asarray(y, np.float64)
        horizon, _, levels = self.task.shape
        center, scale = values.mean(axis=(0, 1)), values.std(axis=(0, 1))
        scale = np.where(scale > 0, scale, 1.0)
        self.center, self.scale = (
            torch.from_numpy(np.tile(part[None, :, None], (horizon, 1, levels)).ravel()).float()
            for part in (center, scale)
        )

    def losses(self, raw: Tensor, y: Any) -> Tensor:
        shape = (len(raw), *self.task.shape)
        scale = self.scale.to(raw.device).reshape(1, *self.task.shape)
        off = (y.to(raw.dtype)[..., None] - raw.reshape(shape)) / scale
        level = torch.tensor(self.task.quantiles, device=raw.device)
        return 2.0 * torch.maximum(level * off, (level - 1.0) * off).mean(dim=(1, 2, 3))
