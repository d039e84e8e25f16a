"""Image networks in stages, each of which may halve the image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from lepta.models.networks.encoders.base import ImageEncoder, Pyramid, Size, longest

_LEAST = 4
"""Pixels that the coarsest map keeps on its longer side."""


class Staged(ImageEncoder, Pyramid):
    """A stem and stages, then a head that ends in (rows, features).

    Call :meth:`assemble` once the stages are made.
    """

    def assemble(
        self,
        stages: Sequence[nn.Module],
        shapes: Sequence[tuple[int, int]],
        head: nn.Module,
        dropout: float,
    ) -> None:
        """Keep stages with (stride, channels) of each, the head, and dropout after it.

        Maps are the outputs of the last stage at each stride.
        """
        self.stages = nn.ModuleList(stages)
        self.head, self.dropout = head, nn.Dropout(dropout)
        total = 1
        finest: list[tuple[int, int, int]] = []
        for position, (stride, channels) in enumerate(shapes):
            total *= stride
            if finest and finest[-1][0] == total:
                finest.pop()
            finest.append((total, channels, position))
        self.strides, self.channels, self.ends = zip(*finest, strict=True)

    def maps(self, images: Tensor) -> list[Tensor]:
        found, values = [], images - 0.5
        for position, stage in enumerate(self.stages):
            values = stage(values)
            if position in self.ends:
                found.append(values)
        return found

    def summary(self, coarsest: Tensor) -> Tensor:
        features: Tensor = self.dropout(self.head(coarsest))
        return features


def fitting_strides(size: Size, strides: Sequence[int]) -> list[int]:
    """Return the strides of stages, the first ones made 1 until small images keep 4 pixels."""
    fitted = list(strides)
    for position, stride in enumerate(strides):
        while fitted[position] > 1 and longest(size) <= (_LEAST - 1) * _product(fitted):
            fitted[position] //= 2
        if stride == fitted[position] and stride > 1:
            break
    return fitted


def _product(strides: Sequence[int]) -> int:
    total = 1
    for stride in strides:
        total *= stride
    return total
