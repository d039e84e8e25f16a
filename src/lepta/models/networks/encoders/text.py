"""Encoders of text, given as numbers of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from lepta.core.schema import Kind
from lepta.models.networks.encoders.base import Count, Encoder, Factor, Share, scaled
from lepta.models.networks.encoders.layers import Transformer


class TextEncoder(Encoder):
    """An encoder of token numbers (rows, length), int64, below ``vocabulary``; 0 is padding.

    Padding stands at the end and does not change what is given.
    """

    kinds = (Kind.TEXT,)
    axes = ("length",)
    smallest = (1,)
    dtype = torch.int64

    @classmethod
    def build(cls, shape: Sequence[int], **options: Any) -> Self:
        return cls(shape[1], **options)


class _Windows(nn.Module):
    """Convolutions over ``window`` tokens, one after the other, that leave padding zero."""

    def __init__(self, before: int, after: int, window: int, count: int) -> None:
        super().__init__()
        self.margins = ((window - 1) // 2, window // 2)
        self.layers = nn.ModuleList(
            nn.Conv1d(after if step else before, after, window) for step in range(count)
        )

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        for convolve in self.layers:
            values = torch.relu(convolve(functional.pad(values, self.margins))) * known
        return values


class TextCnn(TextEncoder):
    """Convolutions over 3, 4 and 5 tokens, the maximum of each (Kim 2014, arXiv:1408.5882).

    Embeddings of 128 numbers, 64 filters a window; ``depth`` convolutions follow one another.
    Takes (rows, length); gives (rows, 192).
    """

    def __init__(
        self,
        length: int,
        *,
        vocabulary: Count,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.3,
    ) -> None:
        super().__init__()
        embedded, filters = scaled(128, width), scaled(64, width)
        self.vocabulary = vocabulary
        self.embed = nn.Embedding(vocabulary, embedded, padding_idx=0)
        self.windows = nn.ModuleList(
            _Windows(embedded, filters, window, scaled(1, depth)) for window in (3, 4, 5)
        )
        self.dropout = nn.Dropout(dropout)
        self.features = 3 * filters

    def forward(self, tokens: Tensor) -> Tensor:
        known = _known(tokens)[:, None, :]
        embedded = self.dropout(self.embed(tokens)).transpose(1, 2) * known
        found = [window(embedded, known).amax(2) for window in self.windows]
        encoded: Tensor = self.dropout(torch.cat(found, 1))
        return encoded


class BiLstm(TextEncoder):
    """LSTMs that read forward and backward (Graves & Schmidhuber 2005), mean and maximum.

    Embeddings of 128 numbers, 64 units each way; takes (rows, length); gives (rows, 256).
    """

    def __init__(
        self,
        length: int,
        *,
        vocabulary: Count,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.3,
    ) -> None:
        super().__init__()
        embedded, units, layers = scaled(128, width), scaled(64, width), scaled(1, depth)
        self.vocabulary = vocabulary
        self.embed = nn.Embedding(vocabulary, embedded, padding_idx=0)
        self.forwards = nn.LSTM(embedded, units, layers, batch_first=True)
        self.backwards = nn.LSTM(embedded, units, layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.features = 4 * units

    def forward(self, tokens: Tensor) -> Tensor:
        known = _known(tokens)
        embedded = self.dropout(self.embed(tokens))
        turned = _backward(embedded, known)
        onward, back = self.forwards(embedded)[0], self.backwards(turned)[0]
        both = torch.cat([onward, _backward(back, known)], 2)
        encoded: Tensor = self.dropout(_mean_and_max(both, known))
        return encoded


class TextTransformer(TextEncoder):
    """Two pre-norm Transformer blocks of 128 channels (Vaswani et al. 2017, arXiv:1706.03762).

    Normalised before each layer (Xiong et al. 2020, arXiv:2002.04745); ends in mean and maximum
    over the tokens. Takes (rows, length); gives (rows, 256).
    """

    def __init__(
        self,
        length: int,
        *,
        vocabulary: Count,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.2,
    ) -> None:
        super().__init__()
        channels = scaled(128, width, 32)
        self.vocabulary = vocabulary
        self.embed = nn.Embedding(vocabulary, channels, padding_idx=0)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.body = Transformer(channels, scaled(2, depth), length=length, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.features = 2 * channels

    def forward(self, tokens: Tensor) -> Tensor:
        known = _known(tokens)
        values = self.body(self.dropout(self.embed(tokens)), known)
        return _mean_and_max(values, known)


def _known(tokens: Tensor) -> Tensor:
    """Return (rows, length): true up to the last token, and at the first place of empty texts."""
    places = torch.arange(tokens.shape[1], device=tokens.device)
    last = torch.where(tokens != 0, places, 0).amax(1, keepdim=True)
    return places <= last


def _backward(values: Tensor, known: Tensor) -> Tensor:
    """Return (rows, length, channels) read from the last token to the first, padding in place."""
    places = torch.arange(values.shape[1], device=values.device)
    turned = torch.where(known, known.sum(1, keepdim=True) - 1 - places, places)
    return values.gather(1, turned[:, :, None].expand(-1, -1, values.shape[2]))


def _mean_and_max(values: Tensor, known: Tensor) -> Tensor:
    """Return mean and maximum over the known tokens, joined: (rows, 2 * channels)."""
    mask = known[:, :, None]
    mean = torch.where(mask, values, 0.0).sum(1) / mask.sum(1)
    return torch.cat([mean, torch.where(mask, values, -1e4).amax(1)], 1)
