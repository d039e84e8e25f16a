"""Binary cross-entropy of every label."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lepta.tasks.objective import Objective


class LabelEntropy(Objective):
    """Mean over the labels of the cross-entropy of a logistic function.

    ``focal`` and ``smoothing`` are as in :class:`CrossEntropy` of classification, label by label.
    """

    extras: ClassVar[tuple[str, ...]] = ("focal", "smoothing")

    def losses(self, raw: Tensor, y: Any) -> Tensor:
        truth = y.to(raw.dtype)
        aim = truth * (1 - self.smoothing) + 0.5 * self.smoothing
        losses = functional.binary_cross_entropy_with_logits(raw, aim, reduction="none")
        if self.focal:
            likely = torch.sigmoid(raw)
            right = truth * likely + (1 - truth) * (1 - likely)
            losses = losses * (1 - right) ** self.focal
        return losses.mean(dim=1)
