"""Encoders of sound, given as log-mel spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from lepta.core.schema import Kind
from lepta.models.networks.encoders.base import Encoder, Factor, Share, scaled
from lepta.models.networks.encoders.layers import ConvNorm, SequencePool, Transformer

_TOKENS = 128
"""Time steps that a Transformer sees at the most."""


class AudioEncoder(Encoder):
    """An encoder of log-mel spectrograms (rows, mels, frames).

    Each mel band is normalised by its statistics in training.
    """

    kinds = (Kind.AUDIO,)
    axes = ("mels", "frames")
    smallest = (8, 8)

    @classmethod
    def build(cls, shape: Sequence[int], **options: Any) -> Self:
        return cls(shape[1], shape[2], **options)


class AudioCnn(AudioEncoder):
    """A small CNN after PANNs (Kong et al. 2020, arXiv:1912.10211).

    Four stages of two 3x3 convolutions with 16 to 128 channels, an average pool after each; the
    mean over frequency, then mean and maximum over time. Takes (rows, mels, frames); gives
    (rows, 256).
    """

    def __init__(
        self,
        mels: int,
        frames: int,
        *,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.2,
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(mels)
        layers: list[nn.Module] = []
        before = 1
        for position in range(scaled(4, depth)):
            after = scaled(16 * 2 ** min(position, 4), width)
            layers += [ConvNorm(before, after), ConvNorm(after, after)]
            if min(mels, frames) > 2**position:
                layers.append(nn.AvgPool2d(2, ceil_mode=True))
            before = after
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.features = 2 * before

    def forward(self, spectrograms: Tensor) -> Tensor:
        steps = self.body(self.norm(spectrograms).unsqueeze(1)).mean(2)
        encoded: Tensor = self.dropout(torch.cat([steps.mean(2), steps.amax(2)], 1))
        return encoded


class AudioTransformer(AudioEncoder):
    """Four Transformer blocks of 128 channels over time.

    Two convolutions over time make the tokens, as in Whisper (Radford et al. 2022,
    arXiv:2212.04356); long recordings are halved until 128 are left. Ends in a learned weighted
    mean. Takes (rows, mels, frames); gives (rows, 128).
    """

    def __init__(
        self,
        mels: int,
        frames: int,
        *,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.1,
        drop_path: Share = 0.1,
    ) -> None:
        super().__init__()
        self.features = scaled(128, width, 32)
        self.norm = nn.BatchNorm1d(mels)
        layers: list[nn.Module] = [nn.Conv1d(mels, self.features, 3, 1, 1), nn.GELU()]
        steps = frames
        while len(layers) == 2 or steps > _TOKENS:
            layers += [nn.Conv1d(self.features, self.features, 3, 2, 1), nn.GELU()]
            steps = -(-steps // 2)
        self.tokens = nn.Sequential(*layers)
        self.body = Transformer(
            self.features, scaled(4, depth), length=steps, dropout=dropout, drop_path=drop_path
        )
        self.pool = SequencePool(self.features)

    def forward(self, spectrograms: Tensor) -> Tensor:
        tokens = self.tokens(self.norm(spectrograms)).transpose(1, 2)
        encoded: Tensor = self.pool(self.body(tokens))
        return encoded
