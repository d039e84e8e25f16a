"""Heat maps of centres, and boxes around them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lepta.tasks.objective import Objective

_ALPHA = 0.54
"""Size of the region of a box that learns, as a share of the box."""
_BOXES = 5.0
"""Weight of the sides of boxes against their centres."""
_LEAST_SEEN = 0.25
"""Share of a box that must be seen in a moved image for it to count."""


class CentresAndBoxes(Objective):
    """The loss of TTFNet (Liu et al. 2019, arXiv:1909.00700).

    Each box is a Gaussian of its size in the heat map of its class, which learns by the focal loss
    of CornerNet (Law & Deng 2018, arXiv:1808.01244); where the Gaussian is, the distances to the
    sides of the box learn by GIoU (Rezatofighi et al. 2019, arXiv:1902.09630), as much for a small
    box as for a large one. Both are shared out over the mean number of boxes in an image, so that
    an image without any still counts.

    Takes (rows, classes + 4, height, width), logits and distances as shares of the image, and
    boxes (rows, most, 5): x0, y0, x1, y1 as shares of the image and the class's code, which is -1
    where there is no box.
    """

    upright = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.usual = 1.0

    def fit(self, y: NDArray[Any]) -> None:
        self.usual = max(1.0, float((y[..., 4] >= 0).sum()) / max(1, len(y)))

    def moved(self, y: Any, theta: Tensor) -> Any:
        """Return the boxes in the moved image, cut at its border; without those hardly seen."""
        square = torch.tensor([[0.0, 0.0, 1.0]], device=theta.device).expand(len(theta), 1, 3)
        back = torch.linalg.inv(torch.cat([theta, square], 1))[:, :2]
        x, y_ = y[..., [0, 2, 0, 2]] * 2 - 1, y[..., [1, 1, 3, 3]] * 2 - 1
        corners = torch.stack([x, y_, torch.ones_like(x)], 2)
        placed = (torch.einsum("rij,rbjc->rbic", back, corners) + 1) / 2
        whole = torch.cat([placed.amin(3), placed.amax(3)], 2)
        boxes = whole.clamp(0.0, 1.0)
        seen = _area(boxes) >= _LEAST_SEEN * _area(whole)
        codes = torch.where(seen, y[..., 4], -1.0)
        return torch.cat([boxes, codes[..., None]], 2)

    def losses(self, raw: Any, y: Any) -> Tensor:
        aim = aims(y, raw.shape[2], raw.shape[3], raw.shape[1] - 4)
        heat = focal(raw[:, :-4], aim.heat)
        sides = raw[:, -4:].flatten(2).transpose(1, 2)
        said = torch.cat([aim.places - sides[..., :2], aim.places + sides[..., 2:]], 2)
        apart = (aim.weights * (1 - giou(said, aim.boxes))).sum(1)
        return (heat + _BOXES * apart) / self.usual


class Aims(NamedTuple):
    """What maps should be.

    Attributes:
        heat: (rows, classes, height, width), 1 at the centres.
        boxes: (rows, places, 4), the box that each place belongs to.
        weights: (rows, places), how much it counts; one in all for a box.
        places: (places, 2), x and y of each as shares of the image.
    """

    heat: Tensor
    boxes: Tensor
    weights: Tensor
    places: Tensor


def aims(y: Tensor, height: int, width: int, classes: int) -> Aims:
    """Return what maps of one size should be for boxes (rows, most, 5); see the objective."""
    x, down = (torch.arange(n, device=y.device) for n in (width, height))
    gaussians, inside = [], []
    for axis, line in ((0, x), (1, down)):
        low, high, length = y[..., axis], y[..., axis + 2], len(line)
        centre = ((low + high) / 2 * length).floor().clamp(0, length - 1)
        radius = ((high - low) * length * _ALPHA / 2).floor()
        apart = (line - centre[..., None]).abs()
        gaussians.append(torch.exp(-(apart**2) / 2 / (((2 * radius + 1) / 6) ** 2)[..., None]))
        inside.append(apart <= radius[..., None])
    known = y[..., 4] >= 0
    here = inside[1][..., :, None] & inside[0][..., None, :] & known[..., None, None]
    bumps = (gaussians[1][..., :, None] * gaussians[0][..., None, :] * here).flatten(2)
    heat = torch.zeros(len(y), classes, height * width, device=y.device)
    codes = y[..., 4].clamp(min=0).long()[..., None].expand_as(bumps)
    heat.scatter_reduce_(1, codes, bumps, "amax")
    areas = torch.where(here.flatten(2), _area(y)[..., None], torch.inf)
    least, owner = areas.min(1)
    mine = functional.one_hot(owner, y.shape[1]).transpose(1, 2) * bumps
    mine = mine * least.isfinite()[:, None]
    weights = (mine / mine.sum(2, keepdim=True).clamp(min=1e-9)).sum(1)
    boxes = y[..., :4].gather(1, owner[..., None].expand(-1, -1, 4))
    grid = torch.meshgrid((down + 0.5) / height, (x + 0.5) / width, indexing="ij")
    places = torch.stack([grid[1].flatten(), grid[0].flatten()], 1)
    return Aims(heat.view(len(y), classes, height, width), boxes, weights, places)


def focal(logits: Tensor, heat: Tensor) -> Tensor:
    """Return the focal loss of heat maps (rows, classes, height, width), summed by row."""
    odds = torch.sigmoid(logits)
    right = -functional.logsigmoid(logits) * (1 - odds) ** 2
    wrong = -functional.logsigmoid(-logits) * odds**2 * (1 - heat) ** 4
    return torch.where(heat == 1, right, wrong).sum((1, 2, 3))


def giou(one: Tensor, other: Tensor) -> Tensor:
    """Return intersection over union, less the share of the hull that neither box fills."""
    low, high = (
        torch.maximum(one[..., :2], other[..., :2]),
        torch.minimum(one[..., 2:], other[..., 2:]),
    )
    shared = (high - low).clamp(min=0.0).prod(-1)
    union = _area(one) + _area(other) - shared
    least = torch.minimum(one[..., :2], other[..., :2])
    most = torch.maximum(one[..., 2:], other[..., 2:])
    hull = (most - least).clamp(min=1e-9).prod(-1)
    return shared / union.clamp(min=1e-9) - (hull - union) / hull


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:4] - boxes[..., :2]).prod(-1)
