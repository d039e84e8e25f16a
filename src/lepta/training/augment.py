"""Small random changes of a batch of images that keep its labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn, scale, shift and brighten images (rows, channels, height, width) a little.

    Up to 10 degrees, 10 % in size, 8 % in place and 10 % in brightness and contrast; no mirroring,
    which would change the meaning of signs and letters.
    """
    count = len(images)

    def uniform(reach: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * reach

    angle, size = uniform(math.radians(10)), 1 + uniform(0.1)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = torch.cos(angle) * size
    theta[:, 1, 0] = torch.sin(angle) * size
    theta[:, 0, 1] = -theta[:, 1, 0]
    theta[:, :, 2] = torch.stack([uniform(0.16), uniform(0.16)], 1)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    contrast = (1 + uniform(0.1)).view(-1, 1, 1, 1)
    return moved * contrast + uniform(0.1).view(-1, 1, 1, 1)
