"""Encoders of time series."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from lepta.core.schema import Kind
from lepta.models.networks.encoders.base import Count, Encoder, Factor, Share, scaled
from lepta.models.networks.encoders.layers import Transformer


class SeriesEncoder(Encoder):
    """An encoder of series (rows, channels, length), each channel standardised."""

    kinds = (Kind.SERIES,)
    axes = ("channels", "length")
    smallest = (1, 1)

    @classmethod
    def build(cls, shape: Sequence[int], **options: Any) -> Self:
        return cls(shape[1], shape[2], **options)


class _Dilated(nn.Module):
    """Two causal convolutions with gaps between their taps, and a residual connection."""

    def __init__(self, before: int, after: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.past = 2 * dilation
        self.first = nn.Conv1d(before, after, 3, dilation=dilation)
        self.second = nn.Conv1d(after, after, 3, dilation=dilation)
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Conv1d(before, after, 1) if before != after else nn.Identity()

    def forward(self, series: Tensor) -> Tensor:
        values = series
        for convolve in (self.first, self.second):
            values = torch.relu(convolve(functional.pad(values, (self.past, 0))))
            values = self.dropout(values)
        return torch.relu(values + self.skip(series))


class Tcn(SeriesEncoder):
    """A temporal convolutional network (Bai et al. 2018, arXiv:1803.01271) of 48 channels.

    As many blocks as it takes to see the whole series, each looking twice as far back; ends in the
    last step and the mean, joined. Takes (rows, channels, length); gives (rows, 96).
    """

    def __init__(
        self,
        channels: int,
        length: int,
        *,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.1,
    ) -> None:
        super().__init__()
        hidden = scaled(48, width)
        needed = max(2, (max(1, length - 1) // 4).bit_length())
        blocks = scaled(min(needed, 8), depth)
        widths = [channels, *[hidden] * blocks]
        self.body = nn.Sequential(
            *(
                _Dilated(before, after, 2 ** min(position, needed - 1), dropout)
                for position, (before, after) in enumerate(pairwise(widths))
            )
        )
        self.features = 2 * hidden

    def forward(self, series: Tensor) -> Tensor:
        return _last_and_mean(self.body(series))


class Gru(SeriesEncoder):
    """A gated recurrent unit (Cho et al. 2014, arXiv:1406.1078): two layers of 64.

    Ends in the last step and the mean, joined. Takes (rows, channels, length); gives (rows, 128).
    """

    cell: ClassVar[type[nn.GRU | nn.LSTM]] = nn.GRU

    def __init__(
        self,
        channels: int,
        length: int,
        *,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.1,
    ) -> None:
        super().__init__()
        hidden, layers = scaled(64, width), scaled(2, depth)
        between = dropout if layers > 1 else 0.0
        self.body = self.cell(channels, hidden, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.features = 2 * hidden

    def forward(self, series: Tensor) -> Tensor:
        encoded: Tensor = self.dropout(
            _last_and_mean(self.body(series.transpose(1, 2))[0].transpose(1, 2))
        )
        return encoded


class Lstm(Gru):
    """Long short-term memory (Hochreiter & Schmidhuber 1997): two layers of 64.

    Ends in the last step and the mean, joined. Takes (rows, channels, length); gives (rows, 128).
    """

    cell = nn.LSTM


class PatchTst(SeriesEncoder):
    """PatchTST (Nie et al. 2023, arXiv:2211.14730): a Transformer over patches of each channel.

    Two blocks of 64 channels, weights shared by all channels of the series; patches overlap by half
    and number at most 64. The channels meet in a dense layer at the end. Takes (rows, channels,
    length); gives (rows, 128).
    """

    def __init__(
        self,
        channels: int,
        length: int,
        *,
        patch: Count | None = None,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.1,
    ) -> None:
        super().__init__()
        hidden = scaled(64, width, 32)
        size = min(length, patch or max(2, length // 8, length // 32 + 1))
        self.stride = max(1, size // 2)
        self.padding = -(length - size) % self.stride
        count = (length + self.padding - size) // self.stride + 1
        self.tokens = nn.Conv1d(1, hidden, size, self.stride)
        self.body = Transformer(hidden, scaled(2, depth), length=count, dropout=dropout)
        self.features = 2 * hidden
        self.join = nn.Linear(channels * hidden, self.features)

    def forward(self, series: Tensor) -> Tensor:
        rows, channels, length = series.shape
        each = series.reshape(rows * channels, 1, length)
        tokens = self.tokens(functional.pad(each, (self.padding, 0), mode="replicate"))
        means = self.body(tokens.transpose(1, 2)).mean(1)
        encoded: Tensor = functional.gelu(self.join(means.reshape(rows, -1)))
        return encoded


def _last_and_mean(steps: Tensor) -> Tensor:
    """Return the last step and the mean of (rows, channels, length), joined."""
    return torch.cat([steps[:, :, -1], steps.mean(2)], 1)
