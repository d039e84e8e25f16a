"""Encoders: an array of one field to a vector of ``features`` numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ReferenceCnn(nn.Module):
    """Conv 32 3x3, pool, conv 64 3x3, pool, flatten, dense 64 (the usual first CNN).

    Takes (rows, channels, size, size) in [0, 1]; gives (rows, 64).
    """

    features = 64

    def __init__(self, channels: int, size: int, dropout: float = 0.2) -> None:
        super().__init__()
        side = ((size - 2) // 2 - 2) // 2
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(64 * side * side, self.features),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        encoded: Tensor = self.body(images - 0.5)
        return encoded


class _Block(nn.Module):
    """Two 3x3 convolutions with a residual connection (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.skip = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.body(images) + self.skip(images))


class ResidualCnn(nn.Module):
    """A small residual network; ends in mean and maximum over the image, joined.

    Takes (rows, channels, size, size) in [0, 1]; gives (rows, 2 * widths[-1]). Images above 48
    pixels are halved by the first convolution.
    """

    def __init__(
        self, channels: int, size: int, widths: tuple[int, ...] = (24, 48, 96), dropout: float = 0.2
    ) -> None:
        super().__init__()
        stride = 2 if size > 48 else 1
        layers: list[nn.Module] = [
            nn.Conv2d(channels, widths[0], 3, stride, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        for before, after in zip((widths[0], *widths), widths, strict=False):
            layers.append(_Block(before, after, 1 if len(layers) == 3 else 2))
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.features = 2 * widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        maps = self.body(images - 0.5)
        joined = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)
        encoded: Tensor = self.dropout(joined)
        return encoded


class TableMlp(nn.Module):
    """Two residual dense layers over a prepared table (rows, columns); gives (rows, 128)."""

    features = 128

    def __init__(self, columns: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.first = nn.Linear(columns, self.features)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(self.features),
                nn.Linear(self.features, 2 * self.features),
                nn.SiLU(),
                nn.Dropout(dropout),
                nn.Linear(2 * self.features, self.features),
            )
            for _ in range(2)
        )

    def forward(self, table: Tensor) -> Tensor:
        hidden: Tensor = self.first(table)
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return hidden
