"""A vision Transformer for few images."""

from __future__ import annotations

from torch import Tensor, nn

from lepta.models.networks.encoders.base import Factor, ImageEncoder, Share, Size, pair, scaled
from lepta.models.networks.encoders.layers import ConvNorm, SequencePool, Transformer

_GRID = 8
"""Tokens along the longer side, at the most."""


class VisionTransformer(ImageEncoder):
    """Six Transformer blocks of 128 channels over at most 8 x 8 tokens.

    As Dosovitskiy et al. 2021 (arXiv:2010.11929), made fit for few images: strided convolutions
    make the tokens (Xiao et al. 2021, arXiv:2106.14881), a learned weighted mean ends it (Hassani
    et al. 2021, arXiv:2104.05704). One token is 2, 4, 8 ... pixels wide, by the size of the images.
    Takes (rows, channels, height, width) in [0, 1]; gives (rows, 128).
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.0,
        drop_path: Share = 0.1,
    ) -> None:
        super().__init__()
        height, breadth = pair(size)
        self.features = scaled(128, width, 32)
        halvings = 1
        while max(height, breadth) > _GRID * 2**halvings:
            halvings += 1
        layers: list[nn.Module] = []
        before = channels
        for step in range(halvings, 0, -1):
            after = max(16, self.features // 2**step)
            layers.append(ConvNorm(before, after, 3, 2, activation=nn.GELU))
            before = after
            height, breadth = -(-height // 2), -(-breadth // 2)
        self.tokens = nn.Sequential(*layers, nn.Conv2d(before, self.features, 3, 1, 1))
        self.body = Transformer(
            self.features,
            scaled(6, depth),
            length=height * breadth,
            dropout=dropout,
            drop_path=drop_path,
        )
        self.pool = SequencePool(self.features)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.tokens(images - 0.5).flatten(2).transpose(1, 2)
        encoded: Tensor = self.pool(self.body(tokens))
        return encoded
