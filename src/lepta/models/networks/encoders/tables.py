"""Encoders of tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from lepta.core.schema import Kind
from lepta.models.networks.encoders.base import Count, Encoder, Factor, Share, scaled
from lepta.models.networks.encoders.layers import Transformer


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


class _Periodic(nn.Module):
    """Periodic embeddings of numbers (Gorishniy et al. 2022, arXiv:2203.05556), four each.

    The variant "PBLD" of RealMLP: 16 learned cosines of each number, three mixtures of them and the
    number itself. Takes (rows, columns); gives (rows, 4 * columns).
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.randn(columns, 16) * 0.1)
        self.phase = nn.Parameter((torch.rand(columns, 16) * 2 - 1) * math.pi)
        self.mix = nn.Parameter((torch.rand(columns, 16, 3) * 2 - 1) / 4)
        self.bias = nn.Parameter((torch.rand(columns, 3) * 2 - 1) / 4)

    def forward(self, numbers: Tensor) -> Tensor:
        waves = torch.cos(2 * math.pi * numbers[:, :, None] * self.frequency + self.phase)
        mixed = torch.einsum("rcf,cfm->rcm", waves, self.mix) + self.bias
        return torch.cat([mixed, numbers[:, :, None]], 2).flatten(1)


class RealMlp(TableEncoder):
    """RealMLP (Holzmüller et al. 2024, arXiv:2407.04491): periodic embeddings, then three layers.

    Each input is first multiplied by a learned number; layers have 256 units, Mish activations and
    a start that keeps the spread of values. The paper's larger step sizes of the multipliers are
    kept by writing them as 1 + 20 s. ``numbers`` is how many of the first columns are numbers (the
    others are flags and one-hot codes); None takes all for numbers. Takes (rows, columns); gives
    (rows, 256).
    """

    def __init__(
        self,
        columns: int,
        *,
        numbers: int | None = None,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.15,
    ) -> None:
        super().__init__()
        self.numbers = columns if numbers is None else min(numbers, columns)
        self.embed = _Periodic(self.numbers) if self.numbers else None
        before = 3 * self.numbers + columns
        self.scale = nn.Parameter(torch.zeros(before))
        self.features = scaled(256, width)
        layers: list[nn.Module] = []
        for _ in range(scaled(3, depth)):
            dense = nn.Linear(before, self.features)
            nn.init.normal_(dense.weight, std=before**-0.5)
            layers += [dense, nn.Mish(), nn.Dropout(dropout)]
            before = self.features
        self.body = nn.Sequential(*layers)

    def forward(self, table: Tensor) -> Tensor:
        values = table
        if self.embed is not None:
            embedded = self.embed(table[:, : self.numbers])
            values = torch.cat([embedded, table[:, self.numbers :]], 1)
        encoded: Tensor = self.body(values * (1 + 20 * self.scale))
        return encoded


class _Shared(nn.Module):
    """One dense layer for all members, scaled on both sides by each (BatchEnsemble).

    Wen et al. 2020 (arXiv:2002.06715). Takes and gives (rows, members, channels).
    """

    def __init__(self, members: int, before: int, after: int, *, first: bool) -> None:
        super().__init__()
        self.dense = nn.Linear(before, after, bias=False)
        signs = torch.randint(0, 2, (members, before)) * 2.0 - 1.0
        self.inward = nn.Parameter(signs if first else torch.ones(members, before))
        self.outward = nn.Parameter(torch.ones(members, after))
        bias = (torch.rand(after) * 2 - 1) * before**-0.5
        self.bias = nn.Parameter(bias.repeat(members, 1))

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = self.dense(values * self.inward) * self.outward + self.bias
        return out


class TabM(TableEncoder):
    """TabM (Gorishniy et al. 2024, arXiv:2410.24210): a dense network that is an ensemble.

    Sixteen members share the weights of three layers of 256 units and differ in vectors that scale
    them; their mean is given. Takes (rows, columns); gives (rows, 256).
    """

    def __init__(
        self,
        columns: int,
        *,
        members: Count = 16,
        width: Factor = 1.0,
        depth: Factor = 1.0,
        dropout: Share = 0.1,
    ) -> None:
        super().__init__()
        self.features = scaled(256, width)
        layers: list[nn.Module] = []
        before = columns
        for position in range(scaled(3, depth)):
            shared = _Shared(members, before, self.features, first=position == 0)
            layers += [shared, nn.ReLU(), nn.Dropout(dropout)]
            before = self.features
        self.body = nn.Sequential(*layers)

    def forward(self, table: Tensor) -> Tensor:
        encoded: Tensor = self.body(table[:, None, :]).mean(1)
        return encoded


class FtTransformer(TableEncoder):
    """FT-Transformer (Gorishniy et al. 2021, arXiv:2106.11959): one token a column.

    Two Transformer blocks of 64 channels; a token of its own gathers what is given. Its cost grows
    with the square of the columns. Takes (rows, columns); gives (rows, 64).
    """

    def __init__(
        self, columns: int, *, width: Factor = 1.0, depth: Factor = 1.0, dropout: Share = 0.1
    ) -> None:
        super().__init__()
        self.features = scaled(64, width, 32)
        reach = self.features**-0.5
        self.weight = nn.Parameter(torch.empty(columns, self.features).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.empty(columns, self.features).uniform_(-reach, reach))
        self.gather = nn.Parameter(torch.empty(1, 1, self.features).uniform_(-reach, reach))
        self.body = Transformer(self.features, scaled(2, depth), dropout=dropout)

    def forward(self, table: Tensor) -> Tensor:
        tokens = table[:, :, None] * self.weight + self.bias
        gather = self.gather.expand(tokens.shape[0], -1, -1)
        encoded: Tensor = self.body(torch.cat([gather, tokens], 1))[:, 0]
        return encoded
