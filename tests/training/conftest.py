"""A small task that networks learn in seconds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lepta.core.events import Context
from lepta.models.networks import Network
from lepta.tasks import Binary
from lepta.training.options import LoopOptions
from lepta.training.rows import Rows


def squares(count: int, seed: int) -> Rows:
    """Return noisy images; half of them have a bright square."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0.4, 0.15, (count, 1, 16, 16)).astype(np.float32)
    y = rng.integers(0, 2, count)
    for row in np.flatnonzero(y):
        top, left = rng.integers(0, 12, 2)
        images[row, 0, top : top + 4, left : left + 4] += 0.5
    return Rows([images], y)


class Encoder(nn.Module):
    """Convolution, ReLU, pooling, dropout and batch norm: all that has a state or is random."""

    features = 8

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.2),
            nn.Conv2d(8, 8, 3),
            nn.ReLU(),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images).amax((2, 3))


def build(seed: int = 0) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Network([Encoder()], 8, 2)


@pytest.fixture
def network() -> Network:
    return build()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(seed=1, cache=tmp_path / "cache", threads=1)


@pytest.fixture
def train() -> Rows:
    return squares(200, 0)


@pytest.fixture
def valid() -> Rows:
    return squares(100, 1)


@pytest.fixture
def task() -> Binary:
    return Binary(target="bright", classes=("no", "yes"))


@pytest.fixture
def options() -> LoopOptions:
    """Plain and quick: no augmentation, no probes."""
    return LoopOptions(epochs=3, batch=16, device="cpu:fp32", augment=False, learning_rate=0.01)
