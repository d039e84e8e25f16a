"""Layouts that the hardware computes fast."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lepta.training.layout import fast_layout, laid


@pytest.mark.parametrize("size", [(5, 1, 8, 6), (5, 3, 8, 6), (2, 1, 4, 6, 8)])
def test_images_and_volumes_are_laid_channels_last(size: tuple[int, ...]) -> None:
    made = torch.randn(size)
    found = laid(made)
    torch.testing.assert_close(found, made, rtol=0, atol=0)
    assert found.stride(1) == 1
    assert found.stride(-1) == size[1]


def test_a_grey_image_keeps_the_layers_after_it_channels_last() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3))
    seen: list[Tensor] = []
    for layer in network:
        layer.register_forward_hook(lambda _layer, _given, found: seen.append(found))
    grey = torch.randn(4, 1, 16, 16)
    plain = network(grey)
    seen.clear()
    with fast_layout(network):
        torch.testing.assert_close(network(laid(grey)), plain)
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in seen)
    assert not any(each.is_contiguous() for each in seen)
