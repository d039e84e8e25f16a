"""Dice and cross-entropy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lepta.tasks.objective import Objective
from lepta.tasks.segmentation import IGNORED


class DiceAndEntropy(Objective):
    """Cross-entropy of every pixel plus 1 - soft Dice of the foreground, row by row.

    Cross-entropy alone drowns small regions in background; Dice (Milletari et al. 2016,
    arXiv:1606.04797) does not see it. Their sum is what nnU-Net uses (Isensee et al. 2021).
    Takes raw maps (rows, maps, height, width) and codes (rows, height, width).
    """

    def losses(self, raw: Any, y: Any) -> Tensor:
        counted = (y != IGNORED).float()
        codes = torch.where(y == IGNORED, 0, y).long()
        if raw.shape[1] == 1:
            truth = codes[:, None].float()
            odds = torch.sigmoid(raw)
            entropy = functional.binary_cross_entropy_with_logits(raw, truth, reduction="none")[
                :, 0
            ]
        else:
            hot = functional.one_hot(codes, raw.shape[1]).permute(0, 3, 1, 2).float()
            odds, truth = torch.softmax(raw, 1)[:, 1:], hot[:, 1:]
            entropy = functional.cross_entropy(raw, codes, reduction="none")
        pixels = counted.sum((1, 2)).clamp(min=1.0)
        odds, truth = odds * counted[:, None], truth * counted[:, None]
        shared = (odds * truth).sum((2, 3))
        total = odds.sum((2, 3)) + truth.sum((2, 3))
        dice = (2 * shared + 1) / (total + 1)
        losses: Tensor = (entropy * counted).sum((1, 2)) / pixels + 1 - dice.mean(1)
        return losses

    def moved(self, y: Any, theta: Tensor) -> Any:
        """Return the codes at the places ``theta``: of the nearest pixel; borders repeat."""
        maps = y[:, None].float()
        grid = functional.affine_grid(theta.to(maps.device), list(maps.shape), align_corners=False)
        found = functional.grid_sample(
            maps, grid, mode="nearest", padding_mode="border", align_corners=False
        )
        return found[:, 0].to(y.dtype)
