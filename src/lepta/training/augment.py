"""Small random changes of a batch of images that keep its labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from lepta.core.errors import TrainError


def draw_places(
    count: int,
    generator: torch.Generator,
    crop: float = 1.0,
    mirror: bool = False,
    *,
    flip: bool = False,
    upright: bool = False,
) -> Tensor:
    """Return a random affine map an image, (count, 2, 3), from new places to old ones.

    Up to 10 degrees, 10 % in size and 8 % in place.

    Args:
        count: number of images.
        generator: draws all that is random.
        crop: least share of an image's area that is shown, at a random place and up to a third
            wider or higher than it was (Szegedy et al. 2015, arXiv:1409.4842); 1 shows all.
        mirror: flip half of the images left to right, which changes the meaning of signs and
            letters.
        flip: flip half of the images upside down.
        upright: do not turn images, since targets lie along their axes; instead width and height
            change by up to 10 % each, beside the size.
    """
    angle, size = _uniform(count, math.radians(10), generator), 1 + _uniform(count, 0.1, generator)
    theta = torch.zeros(count, 2, 3)
    if upright:
        sides = 1 + _uniform(2 * count, 0.1, generator).view(count, 2)
        theta[:, :, :2] = torch.diag_embed(sides * size[:, None])
    else:
        theta[:, 0, 0] = theta[:, 1, 1] = torch.cos(angle) * size
        theta[:, 1, 0] = torch.sin(angle) * size
        theta[:, 0, 1] = -theta[:, 1, 0]
    theta[:, :, 2] = (torch.rand(count, 2, generator=generator) * 2 - 1) * 0.16
    if crop < 1:
        theta = compose(theta, _draw_crops(count, generator, crop))
    for axis, wanted in enumerate((mirror, flip)):
        if wanted:
            flipped = torch.rand(count, generator=generator) < 0.5
            theta[flipped, :, axis] *= -1
    return theta


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Return the affine maps (count, 2, 3) that go through ``inner`` first, then ``outer``."""
    turned = outer[:, :, :2] @ inner
    turned[:, :, 2] += outer[:, :, 2]
    return turned


def _draw_crops(count: int, generator: torch.Generator, least: float) -> Tensor:
    """Return maps to random parts with at least the share ``least`` of each image's area."""
    area = least + (1 - least) * torch.rand(count, generator=generator)
    shape = torch.exp(_uniform(count, math.log(4 / 3) / 2, generator))
    shape = shape.clamp(area.sqrt(), area.rsqrt())  # neither side is longer than the image's
    sides = torch.stack([area.sqrt() * shape, area.sqrt() / shape], 1)
    theta = torch.diag_embed(sides)
    place = (torch.rand(count, 2, generator=generator) * 2 - 1) * (1 - sides)
    return torch.cat([theta, place[:, :, None]], 2)


def move(images: Tensor, theta: Tensor, mode: str = "bilinear") -> Tensor:
    """Return images (rows, channels, height, width) at the places ``theta``; borders repeat."""
    grid = functional.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    return functional.grid_sample(
        images, grid, mode=mode, padding_mode="border", align_corners=False
    )


def change(images: Tensor, generator: torch.Generator, reach: float = 0.1) -> Tensor:
    """Return images brighter or darker, and with more or less contrast, by ``reach`` at the most.

    ``reach`` is a share of the range of intensities, 10 % where nothing else is said.
    """
    contrast = 1 + _uniform(len(images), reach, generator)
    brightness = _uniform(len(images), reach, generator)
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
