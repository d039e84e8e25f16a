"""A network that forecasts several series at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class ForecastShape:
    """What a forecast is made from, and what it is.

    Attributes:
        place: which of the arrays that the network takes is the past.
        past: (channels, length) of what was seen.
        others: numbers of all other inputs together: the table, what is known ahead.
        targets: position among the channels of each series to forecast, -1 where it is not seen.
        horizon: steps ahead.
        quantiles: number of quantiles, the median in the middle.
    """

    place: int
    past: tuple[int, int]
    others: int
    targets: tuple[int, ...]
    horizon: int
    quantiles: int


class Forecaster(nn.Module):
    """Last value, plus a linear map of the past, plus a network that sees everything.

    The linear part is that of NLinear (Zeng et al. 2023, arXiv:2205.13504), shared by all series.
    The network has a context, computed once from the past of all series and all other inputs, and
    a part shared by all series that adds to it a series' own past and a learned vector
    (spatio-temporal identity, Shao et al. 2022, arXiv:2208.05233). Quantiles cannot cross: they are
    the median and positive steps from it.

    Takes the past (rows, channels, length), standardised, among other arrays (rows, ...); gives
    (rows, horizon * series * quantiles) in the targets' unit.
    """

    center: Tensor
    scale: Tensor
    past_center: Tensor
    past_scale: Tensor

    def __init__(
        self,
        shape: ForecastShape,
        moments: tuple[Tensor, Tensor],
        hidden: int = 256,
        local: int = 128,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.shape = shape
        channels, length = shape.past
        count, identity, context = len(shape.targets), 16, 64
        width = shape.horizon * count * shape.quantiles
        self.register_buffer("center", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        seen = [max(place, 0) for place in shape.targets]
        self.register_buffer("past_center", moments[0][seen].float()[:, None])
        self.register_buffer("past_scale", moments[1][seen].float()[:, None])
        self.linear = nn.Linear(length, shape.horizon)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.identity = nn.Parameter(torch.randn(count, identity) * 0.1)
        self.context = nn.Sequential(
            nn.Linear(channels * length + shape.others, hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, context),
        )
        self.local = nn.Sequential(
            nn.Linear(length + identity + context, local),
            nn.SiLU(),
            nn.Dropout(dropout / 3),
            nn.Linear(local, local),
            nn.SiLU(),
            nn.Linear(local, shape.horizon * shape.quantiles),
        )

    def forward(self, *arrays: Tensor) -> Tensor:
        shape = self.shape
        past = arrays[shape.place]
        context = self.context(torch.cat([array.flatten(1) for array in arrays], 1))
        own = self._own(past)
        last = own[:, :, -1:]
        rows, count = own.shape[0], own.shape[1]
        parts = [
            own - last,
            self.identity.unsqueeze(0).expand(rows, -1, -1),
            context.unsqueeze(1).expand(-1, count, -1),
        ]
        told = self.local(torch.cat(parts, 2)).reshape(rows, count, shape.horizon, shape.quantiles)
        middle = (last + self.linear(own - last)).unsqueeze(3)
        levels = rising(told, middle).transpose(1, 2).reshape(rows, -1)
        scores: Tensor = levels * self.scale + self.center
        return scores

    def _own(self, past: Tensor) -> Tensor:
        """Return the past of the series to forecast, in units of the targets' spread."""
        whole = (self.shape.horizon, len(self.shape.targets), self.shape.quantiles)
        center = self.center.reshape(whole)[0, :, :1]
        scale = self.scale.reshape(whole)[0, :, :1]
        seen = past[:, [max(place, 0) for place in self.shape.targets]]
        own: Tensor = (seen * self.past_scale + self.past_center - center) / scale
        known = torch.tensor([[float(place >= 0)] for place in self.shape.targets])
        return own * known.to(own.device)


def rising(told: Tensor, middle: Tensor) -> Tensor:
    """Return quantiles around ``middle``: the centre of ``told``, and positive steps from it."""
    half = told.shape[3] // 2
    median = middle + told[..., half : half + 1]
    up = torch.cumsum(functional.softplus(told[..., half + 1 :]), 3)
    down = torch.cumsum(functional.softplus(told[..., :half].flip(3)), 3).flip(3)
    return torch.cat([median - down, median, median + up], 3)
