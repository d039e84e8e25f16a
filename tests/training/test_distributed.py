"""Copies and shards of a network compute the same."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lepta.core.errors import ConfigError
from lepta.engine import Alone, train
from lepta.training.distributed import wrap

sys.path.append(str(Path(__file__).parent))


def test_shards_learn_as_copies_do() -> None:
    import spread

    found = train(spread.strategies, 8, folder=None, workers=2)
    assert [found[name].sharded for name in ("ddp", "fsdp", "resumed")] == [False, True, True]
    for name in ("fsdp", "resumed"):
        assert found[name].losses == pytest.approx(found["ddp"].losses, abs=1e-5)
        weights = found["ddp"].weights
        assert found[name].weights.keys() == weights.keys()
        for key, value in weights.items():
            torch.testing.assert_close(found[name].weights[key], value, atol=1e-5, rtol=1e-4)
    assert found["ddp"].losses[-1] < found["ddp"].losses[0]


def test_one_worker_needs_no_wrapping() -> None:
    module = nn.Linear(1, 1)
    assert wrap(module, Alone(), "fsdp") is module
    with pytest.raises(ConfigError, match="Did you mean 'fsdp'"):
        wrap(module, Alone(), "fsdb")  # type: ignore[arg-type]
