"""Small random changes of a batch of images that keep its labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from lepta.core.errors import TrainError


def draw_places(count: int, generator: torch.Generator) -> Tensor:
    """Return a random affine map an image, (count, 2, 3), from new places to old ones.

    Up to 10 degrees, 10 % in size and 8 % in place; no mirroring, which would change the meaning
    of signs and letters.
    """
    angle, size = _uniform(count, math.radians(10), generator), 1 + _uniform(count, 0.1, generator)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = torch.cos(angle) * size
    theta[:, 1, 0] = torch.sin(angle) * size
    theta[:, 0, 1] = -theta[:, 1, 0]
    theta[:, :, 2] = (torch.rand(count, 2, generator=generator) * 2 - 1) * 0.16
    return theta


def move(images: Tensor, theta: Tensor, mode: str = "bilinear") -> Tensor:
    """Return images (rows, channels, height, width) at the places ``theta``; borders repeat."""
    grid = functional.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    return functional.grid_sample(
        images, grid, mode=mode, padding_mode="border", align_corners=False
    )


def change(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images 10 % brighter or darker, and with 10 % more or less contrast, at the most."""
    contrast = 1 + _uniform(len(images), 0.1, generator)
    brightness = _uniform(len(images), 0.1, generator)
    return images * contrast.view(-1, 1, 1, 1) + brightness.view(-1, 1, 1, 1)


def _uniform(count: int, reach: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * reach


def blend(tensors: list[Tensor], share: float, others: Tensor) -> list[Tensor]:
    """Return rows blended with others: mixup (Zhang et al. 2018, arXiv:1710.09412).

    Args:
        tensors: each with rows first.
        share: how much of each row is kept, in [0, 1].
        others: (rows,), which row is blended into each.

    Raises:
        TrainError: a tensor holds codes, which cannot be blended.
    """
    for tensor in tensors:
        if not tensor.is_floating_point():
            raise TrainError(
                "Mixup blends numbers, but a field comes as codes (text tokens, say).",
                fix="Leave mixup at 0 for this data.",
            )
    return [share * tensor + (1 - share) * tensor[others] for tensor in tensors]
