"""What the workers of the test of strategies do."""

from dataclasses import dataclass

import torch
from torch import nn

from lepta.engine import Worker
from lepta.training.distributed import wrap
from lepta.training.state import (
    bytes_to_tensors,
    optimiser_tensors,
    place_like,
    restore_optimiser,
    tensors_to_bytes,
)


@dataclass
class Trained:
    """Losses of the steps, and the whole weights at their end."""

    losses: list[float]
    weights: dict[str, "torch.Tensor"]
    sharded: bool


class Net(nn.Module):
    """A sequence, a list, single layers; no bias before the norm: only noise would move it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 12, bias=False), nn.BatchNorm1d(12), nn.ReLU())
        self.blocks = nn.ModuleList([nn.Linear(12, 12) for _ in range(2)])
        self.head = nn.Linear(12, 1)

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        x = self.body(x)
        for block in self.blocks:
            x = x + torch.relu(block(x))
        return self.head(x)  # type: ignore[no-any-return]


def strategies(worker: Worker, steps: int) -> dict[str, Trained]:
    """Train with either strategy, and with shards restored from whole tensors half-way."""
    return {
        "ddp": _train(worker, "ddp", steps),
        "fsdp": _train(worker, "fsdp", steps),
        "resumed": _train(worker, "fsdp", steps, resume_at=steps // 2),
    }


def _train(worker: Worker, strategy: str, steps: int, resume_at: int = 0) -> Trained:
    network, called, optimiser = _new(worker, strategy)
    losses = []
    for step in range(steps):
        if resume_at and step == resume_at:
            saved = tensors_to_bytes(network.state_dict())
            moments = tensors_to_bytes(optimiser_tensors(network, optimiser))
            network, called, optimiser = _new(worker, strategy, bytes_to_tensors(saved))
            restore_optimiser(network, optimiser, bytes_to_tensors(moments))
        torch.manual_seed(step)
        x = torch.randn(16, 6)[worker.rank :: worker.world]
        loss = ((called(x) - x.prod(1, keepdim=True)) ** 2).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    sharded = hasattr(network.head.weight, "full_tensor")
    return Trained(losses, bytes_to_tensors(tensors_to_bytes(network.state_dict())), sharded)


def _new(worker: Worker, strategy: str, weights: dict[str, "torch.Tensor"] | None = None):  # type: ignore[no-untyped-def]
    torch.manual_seed(1)
    network = Net()
    called = wrap(network, worker, strategy)  # type: ignore[arg-type]
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    if weights is not None:
        state = network.state_dict()
        network.load_state_dict({n: place_like(state[n], w) for n, w in weights.items()})
    return network, called, optimiser
