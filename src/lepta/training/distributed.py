"""Networks spread over workers: copies that average their gradients, or shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

from torch import nn

from lepta.core.errors import ConfigError, suggest
from lepta.engine.worker import Worker

Strategy = Literal["ddp", "fsdp"]
STRATEGIES = ("ddp", "fsdp")


def wrap(module: nn.Module, worker: Worker, strategy: Strategy = "ddp") -> nn.Module:
    """Return the network to call in training; all workers call it equally often.

    Gradients become the mean over the workers. Build the optimiser after this, from the parameters
    of ``module``, whose names stay: :mod:`lepta.training.state` gathers and restores both.

    Args:
        module: with the same weights in every worker, on its device. With "fsdp" it is changed in
            place: its parameters become shares.
        worker: the one that calls; alone, it gets the module back as it is.
        strategy: "ddp" copies the network to each worker (Li et al. 2020, arXiv:2006.15704); "fsdp"
            gives each a share of parameters, gradients and optimiser (Zhao et al. 2023,
            arXiv:2304.11277; PyTorch's ``fully_shard``), for networks too large for one device.

    Raises:
        ConfigError: there is no such strategy.
    """
    if strategy not in STRATEGIES:
        raise ConfigError(
            f"There is no strategy {strategy!r}.{suggest(strategy, STRATEGIES)}",
            fix=f"Choose from: {', '.join(STRATEGIES)}.",
        )
    if worker.world == 1:
        return module
    if strategy == "ddp":
        return nn.parallel.DistributedDataParallel(module)
    from torch.distributed.fsdp import fully_shard

    for parameter in module.parameters():  # shards must be contiguous
        parameter.data = parameter.data.contiguous()
    for part in _parts(module):
        fully_shard(part)
    return cast(nn.Module, fully_shard(module))


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """Yield what is gathered on its own: the elements of lists and sequences, else the children."""
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from (part for part in child if _learns(part))
        elif _learns(child) and type(child).forward is not nn.Module.forward:
            yield child


def _learns(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None
