"""Encoders of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from torch import Tensor, nn

from lepta.core.schema import Kind
from lepta.models.networks.encoders.base import Encoder, Factor, Share, scaled


class TableEncoder(Encoder):
    """An encoder of a prepared table (rows, columns): standardised numbers, flags, one-hot."""

    kinds = (Kind.NUMBER, Kind.CATEGORY, Kind.DATETIME)
    axes = ("columns",)
    smallest = (1,)

    @classmethod
    def build(cls, shape: Sequence[int], **options: Any) -> Self:
        return cls(shape[1], **options)


class TableMlp(TableEncoder):
    """Two residual dense layers over a prepared table (rows, columns); gives (rows, 128).

    Blocks as in Gorishniy et al. 2021 (arXiv:2106.11959), with layer normalisation.
    """

    def __init__(
        self, columns: int, *, width: Factor = 1.0, depth: Factor = 1.0, dropout: Share = 0.1
    ) -> None:
        super().__init__()
        self.features = scaled(128, width)
        self.first = nn.Linear(columns, self.features)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(self.features),
                nn.Linear(self.features, 2 * self.features),
                nn.SiLU(),
                nn.Dropout(dropout),
                nn.Linear(2 * self.features, self.features),
            )
            for _ in range(scaled(2, depth))
        )

    def forward(self, table: Tensor) -> Tensor:
        hidden: Tensor = self.first(table)
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return hidden
