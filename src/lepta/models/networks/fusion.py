"""Joining the encodings of several fields, any of which a row may lack."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

DROPPED = 0.15
"""Share of the fields hidden in training, so that no field is relied on alone."""


class GatedFusion(nn.Module):
    """Encodings of several fields to one vector: normalised, gated, joined.

    Each encoding is layer-normalised and multiplied by a gate between 0 and 1, which is computed
    from all of them (after Arevalo et al. 2017, arXiv:1702.01992). What a row lacks is replaced by
    a learned vector. In training, fields are hidden at random as if they were lacking (ModDrop,
    Neverova et al. 2016, arXiv:1501.00102), but never all of a row.

    Args:
        widths: numbers in each encoding.
        columns: of each encoding, its column in ``present``, or None where no row lacks it.
        dropped: share of the fields hidden in training.
        gated: whether there are gates; without, encodings are normalised and joined.
    """

    def __init__(
        self,
        widths: Sequence[int],
        columns: Sequence[int | None],
        dropped: float = DROPPED,
        *,
        gated: bool = True,
    ) -> None:
        super().__init__()
        self.columns, self.dropped = tuple(columns), dropped
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.absent = nn.ParameterList(torch.zeros(width) for width in widths)
        self.gates: nn.Linear | None = None
        if gated:
            self.gates = nn.Linear(sum(widths), len(widths))
            nn.init.constant_(self.gates.bias, 2.0)  # gates begin nearly open
        self.features = sum(widths)

    def forward(self, encodings: Sequence[Tensor], present: Tensor | None) -> Tensor:
        """Return (rows, features) of encodings (rows, width) and ``present`` (rows, columns)."""
        there = self._there(encodings[0], present)
        parts = [
            torch.where(there[:, number : number + 1] > 0, norm(encoding), absent)
            for number, (norm, encoding, absent) in enumerate(
                zip(self.norms, encodings, self.absent, strict=True)
            )
        ]
        if self.gates is None:
            return torch.cat(parts, 1)
        gates = torch.sigmoid(self.gates(torch.cat(parts, 1)))
        gated = [gates[:, n : n + 1] * part for n, part in enumerate(parts)]
        return torch.cat(gated, 1)

    def _there(self, like: Tensor, present: Tensor | None) -> Tensor:
        """Return (rows, fields): 1 where a row has a field that is not hidden, else 0."""
        full = torch.ones_like(like[:, :1])
        if present is None:
            columns = [full for _ in self.columns]
        else:
            columns = [full if c is None else present[:, c : c + 1] for c in self.columns]
        there = torch.cat(columns, 1)
        if not self.training or not self.dropped:
            return there
        kept = there * (torch.rand_like(there) >= self.dropped)
        return torch.where(kept.sum(1, keepdim=True) > 0, kept, there)


class Disturb(nn.Module):
    """Changes of log-mel spectrograms (rows, bands, frames) in training that keep what is said.

    Pitch and pace are stretched by up to ``stretch`` (as vocal tracts differ, Jaitly & Hinton
    2013), the sound is moved in time by up to ``shift`` of its frames, and one stripe of bands and
    one of frames are hidden (SpecAugment, Park et al. 2019, arXiv:1904.08779).
    """

    def __init__(self, stretch: float = 0.15, shift: float = 0.1, hidden: float = 0.2) -> None:
        super().__init__()
        self.stretch, self.shift, self.hidden = stretch, shift, hidden

    def forward(self, spectrograms: Tensor) -> Tensor:
        if not self.training:
            return spectrograms
        moved = self._stretched(spectrograms)
        _, bands, frames = moved.shape
        low = self._stripe(moved, bands)[:, :, None]
        return moved * low * self._stripe(moved, frames)[:, None, :]

    def _stretched(self, spectrograms: Tensor) -> Tensor:
        rows = len(spectrograms)

        def uniform(reach: float) -> Tensor:
            return (torch.rand(rows, device=spectrograms.device) * 2 - 1) * reach

        theta = torch.zeros(rows, 2, 3, device=spectrograms.device)
        theta[:, 0, 0], theta[:, 1, 1] = 1 + uniform(self.stretch), 1 + uniform(self.stretch)
        # Stretch from the first frame and the lowest band: what begins there stays there.
        theta[:, 0, 2] = theta[:, 0, 0] - 1 + uniform(2 * self.shift)
        theta[:, 1, 2] = theta[:, 1, 1] - 1
        images = spectrograms[:, None]
        grid = nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
        return nn.functional.grid_sample(images, grid, align_corners=False)[:, 0]

    def _stripe(self, like: Tensor, size: int) -> Tensor:
        """Return (rows, size): 0 in one stripe of a row, at most ``hidden`` wide, else 1."""
        rows = (len(like), 1)
        width = torch.rand(rows, device=like.device) * self.hidden * size
        begin = torch.rand(rows, device=like.device) * (size - width)
        places = torch.arange(size, device=like.device)
        return ((places < begin) | (places >= begin + width)).to(like.dtype)
