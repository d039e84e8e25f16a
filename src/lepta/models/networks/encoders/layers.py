"""Layers that several families of encoders share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_HEAD = 32


class ConvNorm(nn.Sequential):
    """A convolution of images or volumes, batch normalisation, an activation.

    Padded so that the output has size / stride, rounded up.
    """

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        groups: int = 1,
        dims: int = 2,
        activation: type[nn.Module] | None = nn.ReLU,
    ) -> None:
        convolve, norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
        layers: list[nn.Module] = [
            convolve(before, after, kernel, stride, kernel // 2, groups=groups, bias=False),
            norm(after),
        ]
        super().__init__(*layers, *([activation()] if activation else []))


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016, arXiv:1603.09382): leave a branch out of some rows."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or self.share == 0.0:
            return branch
        kept = torch.rand(len(branch), *[1] * (branch.ndim - 1), device=branch.device) >= self.share
        return branch * kept / (1.0 - self.share)


class Attention(nn.Module):
    """Self-attention with heads of 32 channels (Vaswani et al. 2017, arXiv:1706.03762).

    Over (rows, tokens, width); where ``known`` (rows, tokens) is given, only to its true tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // _HEAD)
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)

    def forward(self, tokens: Tensor, known: Tensor | None = None) -> Tensor:
        parts = self.inward(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mask = None if known is None else known[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], mask)
        out: Tensor = self.outward(mixed.transpose(1, 2).flatten(2))
        return out


class TransformerBlock(nn.Module):
    """Attention, then a dense layer, normalised before (Xiong et al. 2020, arXiv:2002.04745)."""

    def __init__(self, width: int, dropout: float, drop_path: float = 0.0) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), Attention(width)
        self.dense_norm = nn.LayerNorm(width)
        self.dense = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.drop = nn.Sequential(nn.Dropout(dropout), DropPath(drop_path))

    def forward(self, tokens: Tensor, known: Tensor | None = None) -> Tensor:
        tokens = tokens + self.drop(self.attention(self.attention_norm(tokens), known))
        out: Tensor = tokens + self.drop(self.dense(self.dense_norm(tokens)))
        return out


class Transformer(nn.Module):
    """Pre-norm Transformer blocks over (rows, tokens, width), normalised at the end.

    With a ``length``, learned positions are added to the tokens, of which there may be fewer.
    """

    def __init__(
        self,
        width: int,
        blocks: int,
        *,
        length: int | None = None,
        dropout: float = 0.1,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.positions = None
        if length is not None:
            self.positions = nn.Parameter(torch.empty(1, length, width))
            nn.init.trunc_normal_(self.positions, std=0.02)
        shares = torch.linspace(0, drop_path, blocks).tolist()
        self.blocks = nn.ModuleList(TransformerBlock(width, dropout, share) for share in shares)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, known: Tensor | None = None) -> Tensor:
        if self.positions is not None:
            tokens = tokens + self.positions[:, : tokens.shape[1]]
        for block in self.blocks:
            tokens = block(tokens, known)
        out: Tensor = self.norm(tokens)
        return out


class SequencePool(nn.Module):
    """A weighted mean over tokens, the weights learned (Hassani et al. 2021, arXiv:2104.05704)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        pooled: Tensor = (torch.softmax(self.score(tokens), 1) * tokens).sum(1)
        return pooled


def mean_and_max(maps: Tensor) -> Tensor:
    """Return mean and maximum over all axes but rows and channels, joined."""
    axes = tuple(range(2, maps.ndim))
    return torch.cat([maps.mean(axes), maps.amax(axes)], 1)
