"""Cross-entropy and its variants."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lepta.tasks.objective import Objective


class CrossEntropy(Objective):
    """Cross-entropy of a softmax over the classes.

    Focal loss (Lin et al. 2017, arXiv:1708.02002) weighs a row by (1 - probability of its
    class) to the power ``focal``; label smoothing (Szegedy et al. 2016, arXiv:1512.00567) gives
    ``smoothing`` of the target to all classes alike.
    """

    extras: ClassVar[tuple[str, ...]] = ("focal", "smoothing")

    def losses(self, raw: Tensor, y: Any) -> Tensor:
        y = y.long()
        losses = functional.cross_entropy(raw, y, reduction="none", label_smoothing=self.smoothing)
        if self.focal:
            right = torch.softmax(raw, 1).gather(1, y[:, None])[:, 0]
            losses = losses * (1 - right) ** self.focal
        return losses
