"""The likelihood of continuation ratios."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lepta.tasks.objective import Objective


class ContinuationRatios(Objective):
    """Minus the log probability of the true class (CORN, Shi et al. 2023, arXiv:2111.08851).

    The raw score of a class is asked only of rows that reach it: whether they go further.
    """

    def losses(self, raw: Tensor, y: Any) -> Tensor:
        steps = torch.arange(raw.shape[1], device=raw.device)
        codes = y.long()[:, None]
        further = (codes > steps).to(raw.dtype)
        losses = functional.binary_cross_entropy_with_logits(raw, further, reduction="none")
        summed: Tensor = (losses * (codes >= steps)).sum(dim=1)
        return summed
