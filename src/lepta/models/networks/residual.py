"""A network that adds to a statistical forecast what it sees that the forecast leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lepta.models.networks.forecast import rising

_CONTEXT, _IDENTITY = 64, 16
_LARGEST = 80.0
"""Largest exponent, which float32 can still raise e to."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """A statistical forecast as arrays; see :mod:`lepta.models.forecast`.

    Attributes:
        place: which of the arrays that the network takes is the past.
        places: channels of the past that are forecast.
        others: channels whose last value is read beside the table and what is known ahead.
        columns: numbers of all arrays together, the past included.
        window, bias, context: of the linear map.
        unit: (2, series): factor and offset from windows to values, or to their logarithms.
        moments: (2, series): factor and offset from the prepared past to values; None where these
            are no logarithms.
        least: values are raised to this before their logarithm is taken, (series,).
        offsets: quantiles around the forecast, (series, horizon, quantiles).
        change: added to a window's mean absolute change for the unit of the offsets, (series, 1);
            None where their unit is 1.
    """

    place: int
    places: tuple[int, ...]
    others: tuple[int, ...]
    columns: int
    window: NDArray[np.float64]
    bias: NDArray[np.float64]
    context: NDArray[np.float64] | None
    unit: NDArray[np.float64]
    moments: NDArray[np.float64] | None
    least: NDArray[np.float64] | None
    offsets: NDArray[np.float64]
    change: NDArray[np.float64] | None


class ResidualForecaster(nn.Module):
    """A statistical forecast with its quantiles, and a network's changes to them.

    Before training it is the statistical forecast; so a network learns only what is worth it
    (Zhang 2003, a hybrid of ARIMA and a network; Smyl 2020, of exponential smoothing and one).
    The network sees the windows, the statistical forecast and all other inputs, in units of the
    windows: see :class:`~lepta.models.networks.forecast.Forecaster`, whose parts it has.

    Takes the past (rows, channels, length), standardised, among other arrays (rows, ...); gives
    (rows, horizon * series * quantiles) in the targets' unit.
    """

    window: Tensor
    bias: Tensor
    told: Tensor | None
    start: Tensor
    unit: Tensor
    moments: Tensor | None
    least: Tensor | None
    change: Tensor | None

    def __init__(
        self, base: Statistics, hidden: int = 256, local: int = 128, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.place, self.places, self.others = base.place, list(base.places), list(base.others)
        series, self.horizon, self.levels = base.offsets.shape
        length = base.window.shape[-2]
        self._keep(base)
        self.identity = nn.Parameter(torch.randn(series, _IDENTITY) * 0.1)
        self.context = nn.Sequential(
            nn.Linear(base.columns, hidden), nn.SiLU(), nn.Dropout(dropout),
            nn.Linear(hidden, _CONTEXT),
        )  # fmt: skip
        self.linear = nn.Linear(length, self.horizon, bias=False)
        nn.init.zeros_(self.linear.weight)
        last = nn.Linear(local, self.horizon * self.levels)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.local = nn.Sequential(
            nn.Linear(length + self.horizon + _IDENTITY + _CONTEXT, local), nn.SiLU(),
            nn.Dropout(dropout / 3), nn.Linear(local, local), nn.SiLU(), last,
        )  # fmt: skip

    def _keep(self, base: Statistics) -> None:
        steps = np.maximum(np.diff(base.offsets, axis=2), 1e-4)
        half = self.levels // 2
        start = np.log(np.expm1(steps))
        middle = base.offsets[:, :, half : half + 1]
        start = np.concatenate([start[:, :, :half], middle, start[:, :, half:]], axis=2)
        context = base.context
        flat = None if context is None else context.reshape(len(context), -1)
        least = None if base.least is None else base.least[:, None]
        moments = None if base.moments is None else base.moments[:, :, None]
        kept = {
            "window": base.window, "bias": base.bias, "told": flat, "start": start,
            "unit": base.unit[:, :, None, None], "moments": moments, "least": least,
            "change": base.change,
        }  # fmt: skip
        for name, value in kept.items():
            tensor = None if value is None else torch.from_numpy(np.asarray(value)).float()
            self.register_buffer(name, tensor)

    def forward(self, *arrays: Tensor) -> Tensor:
        past = arrays[self.place]
        own = self._own(past)
        rows, series = own.shape[0], own.shape[1]
        flat = [array.flatten(1) for k, array in enumerate(arrays) if k != self.place]
        beside = torch.cat([*flat, past[:, self.others, -1]], 1)
        middle = self._statistical(own, beside)
        context = self.context(torch.cat([array.flatten(1) for array in arrays], 1))
        last = own[:, :, -1:]
        parts = [
            own - last,
            middle - last,
            self.identity.unsqueeze(0).expand(rows, -1, -1),
            context.unsqueeze(1).expand(-1, series, -1),
        ]
        told = self.local(torch.cat(parts, 2)).reshape(rows, series, self.horizon, self.levels)
        off = rising(told + self.start, self.linear(own - last).unsqueeze(3))
        if self.change is not None:
            change = (own[:, :, 1:] - own[:, :, :-1]).abs().mean(2, keepdim=True) + self.change
            off = off * change.unsqueeze(3)
        return self._scores(middle.unsqueeze(3) + off)

    def _own(self, past: Tensor) -> Tensor:
        """Return the windows (rows, series, length), in the unit of the statistical forecast."""
        own = past[:, self.places]
        first = (own != 0).int().argmax(2, keepdim=True)
        before = torch.arange(own.shape[2], device=own.device) < first
        own = torch.where(before, own.gather(2, first), own)
        if self.moments is None or self.least is None:
            return own
        values = torch.maximum(own * self.moments[0] + self.moments[1], self.least)
        unit = self.unit[:, :, 0]
        logs: Tensor = (values.log() - unit[1]) / unit[0]
        return logs

    def _statistical(self, own: Tensor, beside: Tensor) -> Tensor:
        """Return the statistical forecast, (rows, series, horizon)."""
        if self.window.ndim == 2:
            found = own @ self.window
        else:
            found = (own.unsqueeze(2) @ self.window).squeeze(2)
        if self.told is not None:
            found = found + (beside @ self.told).reshape(-1, own.shape[1], self.horizon)
        middle: Tensor = found + self.bias
        return middle

    def _scores(self, levels: Tensor) -> Tensor:
        """Return raw scores of quantiles (rows, series, horizon, quantiles)."""
        values = levels * self.unit[0] + self.unit[1]
        if self.moments is not None:
            values = values.clamp(max=_LARGEST).exp()
        return values.transpose(1, 2).flatten(1)
