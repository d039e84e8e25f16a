"""ConvNeXt for images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lepta.models.networks.encoders.base import Factor, Share, Size, scaled
from lepta.models.networks.encoders.layers import DropPath
from lepta.models.networks.encoders.staged import Staged, fitting_strides


class _Norm(nn.LayerNorm):
    """Layer normalisation over the channels of images."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Patches(nn.Module):
    """Square patches side by side, each projected; the image is padded to whole patches."""

    def __init__(self, before: int, after: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.project = nn.Conv2d(before, after, size, size)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        padding = (0, -width % self.size, 0, -height % self.size)
        projected: Tensor = self.project(functional.pad(images, padding))
        return projected


class _Block(nn.Module):
    """A 7x7 convolution a channel, then two dense layers over the channels."""

    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.filter = nn.Conv2d(width, width, 7, 1, 3, groups=width)
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.scale = nn.Parameter(torch.full((width,), 1e-6))
        self.drop = DropPath(drop_path)

    def forward(self, images: Tensor) -> Tensor:
        branch = self.dense(self.filter(images).permute(0, 2, 3, 1)) * self.scale
        out: Tensor = images + self.drop(branch.permute(0, 3, 1, 2))
        return out


class ConvNeXt(Staged):
    """ConvNeXt "atto" (Liu et al. 2022, arXiv:2201.03545); ``width=1.2`` is "femto".

    Stages of 2, 2, 6 and 2 blocks with 40, 80, 160 and 320 channels.
    Takes (rows, channels, height, width) in [0, 1]; gives (rows, 320). The first strides are left
    out for images that would shrink below 4 pixels.
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
        widths = [scaled(default, width, 8) for default in (40, 80, 160, 320)]
        blocks = [scaled(default, depth) for default in (2, 2, 6, 2)]
        strides = fitting_strides(size, (4, 2, 2, 2))
        shares = torch.linspace(0, drop_path, sum(blocks)).tolist()
        stages: list[nn.Module] = []
        before = channels
        for after, stride, count in zip(widths, strides, blocks, strict=True):
            patches = _Patches(before, after, stride)
            steps = (_Norm(before), patches) if stages else (patches, _Norm(after))
            stages.append(
                nn.Sequential(*steps, *(_Block(after, shares.pop(0)) for _ in range(count)))
            )
            before = after
        self.features = before
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(before))
        self.assemble(stages, list(zip(strides, widths, strict=True)), head, dropout)
        self.apply(_start)


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
