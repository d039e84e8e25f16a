"""Boxes of objects from the maps of an encoder, without anchors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lepta.models.networks.encoders.base import Pyramid
from lepta.models.networks.encoders.layers import ConvNorm
from lepta.models.networks.unet import grown

SIDES = 4
"""Maps of the distances from a place to the left, upper, right and lower side of its box."""
_RARE = 0.02
"""Share of the places that is taken for centres before anything is learned."""
_HALF = 0.25
"""Distance to a side that is usual, as a share of the image."""
_STEEP, _STEPS = 20.0, 1024.0
"""Largest logit that is told from others, and steps from one logit to the next."""
_SPREAD = 0.5
"""Spread of the Gaussian of overlaps by which scores fall, that of the paper of Matrix NMS."""


class Detector(nn.Module):
    """TTFNet (Liu et al. 2019, arXiv:1909.00700) over an encoder with maps.

    Takes images (rows, channels, height, width) in [0, 1]; gives (rows, classes + 4, height /
    stride, width / stride): logits of the centres of each class, then the distances to the four
    sides, as shares of the width (left, right) and of the height (upper, lower). Maps of all
    strides are added up at the finest (Lin et al. 2017, arXiv:1612.03144).

    Args:
        encoder: its maps of ``stride`` and coarser ones are used, or the coarsest alone where all
            are finer.
        shape: channels, height and width of the images.
        classes: how many there are.
        stride: pixels from one place to the next.
        width: channels of the maps in which objects are looked for.
    """

    def __init__(
        self,
        encoder: Pyramid,
        shape: Sequence[int],
        classes: int,
        stride: int = 8,
        width: int = 96,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        fine = sum(step < stride for step in encoder.strides)
        self.first = min(fine, len(encoder.strides) - 1)
        given = encoder.channels[self.first :]
        self.across = nn.ModuleList(nn.Conv2d(before, width, 1) for before in given)
        self.joined = nn.Sequential(nn.BatchNorm2d(width), ConvNorm(width, width, 3))
        centre, side = nn.Conv2d(width, classes, 1), nn.Conv2d(width, SIDES, 1)
        nn.init.constant_(centre.bias, -math.log(1 / _RARE - 1))  # type: ignore[arg-type]
        self.centres = nn.Sequential(ConvNorm(width, width, 3), centre)
        self.sides = nn.Sequential(ConvNorm(width, width, 3), side)
        self.rates: list[tuple[nn.Module, float]] = []
        self._rest(shape)

    def _rest(self, shape: Sequence[int]) -> None:
        """Let nothing learn that the maps do not need: workers wait for every gradient."""
        self.eval()(torch.zeros(1, *shape)).sum().backward()
        self.train()
        for parameter in self.parameters():
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None

    def forward(self, images: Tensor) -> Tensor:
        maps = self.encoder.maps(images)[self.first :]
        levels = [across(level) for across, level in zip(self.across, maps, strict=True)]
        values = levels[-1]
        for level in levels[-2::-1]:
            values = grown(values, level) + level
        values = self.joined(values)
        sides = functional.softplus(self.sides(values)) * _HALF
        return torch.cat([self.centres(values), sides], 1)

    def slow(self, stages: Sequence[nn.Module], *, frozen: int, ratio: float, decay: float) -> None:
        """Let pretrained stages learn more slowly, the nearer to the input the less.

        Args:
            stages: from the input on.
            frozen: how many of the first do not learn.
            ratio: learning rate of the last, as a share of that of the rest of the network.
            decay: by how much each one's rate is less than the next one's.
        """
        for stage in stages[:frozen]:
            stage.requires_grad_(False)
        kept = list(stages[frozen:])
        self.rates = [(stage, ratio * decay**k) for k, stage in enumerate(reversed(kept))]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return what learns, with the share of the learning rate by which it does."""
        groups = [
            {"params": [p for p in stage.parameters() if p.requires_grad], "scale": rate}
            for stage, rate in self.rates
        ]
        held = {id(parameter) for group in groups for parameter in group["params"]}  # type: ignore[attr-defined]
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in held]
        return [{"params": rest, "scale": 1.0}, *(group for group in groups if group["params"])]


class Detections(nn.Module):
    """A detector, and what its maps mean.

    Gives (rows, most, 6): the sides x0, y0, x1, y1 of boxes as shares of width and height, a score
    and the class's code; by falling score, zeros where no more were found.

    A box is where a logit is the largest of 3 x 3 places of its class (Zhou et al. 2019,
    arXiv:1904.07850). Those that overlap better ones of their class lose score by Matrix NMS (Wang
    et al. 2020, arXiv:2003.10152): no threshold is in it that rounding could cross.
    """

    def __init__(self, network: nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most = network, most

    def forward(self, images: Tensor) -> Tensor:
        return found_boxes(self.network(images), self.most)


def found_boxes(raw: Tensor, most: int, spread: float = _SPREAD) -> Tensor:
    """Return (rows, most, 6), as :class:`Detections` says, from what a :class:`Detector` gives."""
    height, width = raw.shape[2:]
    logits = raw[:, :-SIDES]
    places, scores = _peaks(logits, most)
    codes, cells = places // (height * width), places % (height * width)
    sides = raw[:, -SIDES:].flatten(2).transpose(1, 2)
    sides = sides.gather(1, cells[..., None].expand(-1, -1, SIDES))
    x, y = (cells % width + 0.5) / width, (cells // width + 0.5) / height
    left, upper, right, lower = sides.unbind(2)
    boxes = torch.stack([x - left, y - upper, x + right, y + lower], 2).clamp(0.0, 1.0)
    scores = scores * _decay(boxes, codes, spread)
    scores, order = scores.topk(scores.shape[1])
    found = torch.cat([boxes, codes[..., None].to(boxes.dtype)], 2)
    found = found.gather(1, order[..., None].expand(-1, -1, SIDES + 1))
    found = torch.cat([found[..., :SIDES], scores[..., None], found[..., SIDES:]], 2)
    found = found * (scores > 0)[..., None]
    return functional.pad(found, (0, 0, 0, most - found.shape[1]))


def _peaks(logits: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Return the places of the highest peaks, (rows, peaks) in all maps, and their scores.

    Logits are compared in steps of 1 / 1024, and the first place goes before others of the same
    step, so that what is flat is ordered the same way whatever its rounding.
    """
    steps = torch.round(logits.clamp(-_STEEP, _STEEP) * _STEPS)
    highest = functional.max_pool2d(steps, 3, 1, 1)
    count = logits[0].numel()
    above = (steps + _STEEP * _STEPS).flatten(1).long() * count
    keys = above + torch.arange(count - 1, -1, -1, device=logits.device)
    keys = torch.where((steps == highest).flatten(1), keys, -1)
    best, places = keys.topk(min(most, count))
    scores = torch.sigmoid(logits).flatten(1).gather(1, places)
    return places, scores * (best >= 0)


def _decay(boxes: Tensor, codes: Tensor, spread: float) -> Tensor:
    """Return by what each score is multiplied, (rows, boxes); boxes come by falling score."""
    same = (codes[:, :, None] == codes[:, None]).to(boxes.dtype)
    shared = torch.triu(overlap(boxes[:, :, None], boxes[:, None]) * same, diagonal=1)
    covered = shared.max(1).values
    lost = (shared**2 - covered[:, :, None] ** 2).max(1).values
    return torch.exp(-lost.clamp(min=0.0) / spread)


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Return intersection over union of boxes (..., 4)."""
    low = torch.maximum(one[..., :2], other[..., :2])
    high = torch.minimum(one[..., 2:], other[..., 2:])
    shared = (high - low).clamp(min=0.0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (one, other)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=1e-9)
