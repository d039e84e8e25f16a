"""Squared error."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepta.tasks.objective import Objective


class SquaredError(Objective):
    """Squared error in units of the target's spread."""

    def fit(self, y: Any) -> None:
        values = np.asarray(y, np.float64)
        self.center = torch.tensor([float(values.mean())])
        self.scale = torch.tensor([float(values.std()) or 1.0])

    def losses(self, raw: Tensor, y: Any) -> Tensor:
        off: Tensor = (raw[:, 0] - y.float()) / self.scale.to(raw.device)
        return off.square()
