"""The state of a training as safetensors and JSON, from which it goes on to the last bit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lepta.core.errors import TrainError
from lepta.tasks import Task
from lepta.training.options import LoopOptions
from lepta.training.rows import Rows
from lepta.training.step import groups_of

STATE = "state.json"
_AT_ONCE = 256
"""Rows whose bytes are read at once."""


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        precision, batch, rate: what was chosen at the start.
        epoch: epochs finished.
        step: steps done in the epoch that runs.
        total: steps of the whole schedule.
        losses: sum of the losses of the steps done in this epoch.
        best: least validation loss so far.
        stale: epochs since.
        finished: whether there is nothing left to do.
        choices: what was measured for them; see :class:`~lepta.core.events.Context`.
        scale, grown: of the gradients, where they are scaled (fp16).
    """

    precision: str = "fp32"
    batch: int = 0
    rate: float = 0.0
    epoch: int = 0
    step: int = 0
    total: int = 0
    losses: float = 0.0
    best: float = float("inf")
    stale: int = 0
    finished: bool = False
    scale: float = 0.0
    grown: int = 0
    choices: dict[str, str] = field(default_factory=dict)

    def json(self) -> bytes:
        """Return it as JSON; floats survive to the last bit."""
        return json.dumps(asdict(self)).encode()


def read_progress(members: Mapping[str, bytes]) -> Progress:
    """Return how far the training in a checkpoint is.

    Raises:
        TrainError: it was written by another version.
    """
    found = json.loads(members[STATE])
    if set(found) != {item.name for item in fields(Progress)}:
        raise TrainError(
            "The checkpoint was written by another version of Lepta.",
            fix="Train anew with another folder, or go on with the version that wrote it.",
        )
    return Progress(**found)


def tensors_to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Return tensors by name as safetensors; sharded ones are gathered (by all workers at once)."""
    from safetensors.torch import save

    return save(
        {name: whole(tensor).cpu().contiguous().clone() for name, tensor in tensors.items()}
    )


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor without its history, and all of it where each worker holds a share."""
    tensor = tensor.detach()
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def bytes_to_tensors(data: bytes) -> dict[str, Tensor]:
    """Return what :func:`tensors_to_bytes` wrote, on the CPU, by name in the order of names.

    safetensors returns them in another order in each process, and workers that spread them out
    must do so in the same one.
    """
    from safetensors.torch import load

    found: dict[str, Tensor] = load(data)
    return dict(sorted(found.items()))


def optimiser_tensors(network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's tensors, named after weights: "head.weight/exp_avg"."""
    return {
        f"{name}/{key}": value
        for name, parameter in network.named_parameters()
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def restore_optimiser(
    network: nn.Module, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Give the optimiser its tensors back, each laid out in memory like its weight."""
    names = dict(network.named_parameters())
    for full, saved in tensors.items():
        name, _, key = full.rpartition("/")
        parameter = names[name]
        held = saved.to(parameter.device)
        if saved.shape == parameter.shape:
            held = place_like(parameter, saved)
        optimiser.state[parameter][key] = held


def place_like(parameter: Tensor, saved: Tensor) -> Tensor:
    """Return a tensor with the values of ``saved``, laid out and spread out as ``parameter``."""
    if hasattr(parameter, "full_tensor"):
        from torch.distributed.tensor import distribute_tensor

        held: Any = parameter
        spread: Tensor = distribute_tensor(
            saved.to(held.device), held.device_mesh, list(held.placements)
        )
        return spread
    return torch.empty_like(parameter, dtype=saved.dtype).copy_(saved)


def identity(
    network: nn.Module, train: Rows, valid: Rows, task: Task, options: LoopOptions, seed: int
) -> str:
    """Return a name for this training: of network, rows, task, options and seed.

    Trainings that are not the same get different names, so that none goes on from the state of
    another, or takes its result for its own. Of rows that are images and the like every byte
    counts: the file is read once, as an epoch reads it each time.
    """
    digest = hashlib.sha256()
    kept = {
        name: value
        for name, value in asdict(options).items()
        if name not in ("checkpoint", "checkpoint_seconds", "workers", "engine", "address")
    }
    digest.update(json.dumps([kept, seed, task.name, task.model_dump(mode="json")]).encode())
    shown = re.sub(r"0x[0-9a-f]+", "", repr(network))  # rates of dropout and the like
    digest.update(shown.encode())
    shares = [group["scale"] for group in groups_of(network)]
    learned = [name for name, weight in network.named_parameters() if weight.requires_grad]
    digest.update(json.dumps([shares, learned]).encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    for rows in (train, valid):
        _digest_rows(rows, digest)
    return digest.hexdigest()[:16]


def _digest_rows(rows: Rows, digest: Any) -> None:
    targets = list(rows.y) if isinstance(rows.y, list) else [rows.y]
    weights = [] if rows.weights is None else [rows.weights]
    digest.update(json.dumps([len(rows), rows.are_pictures(), len(weights)]).encode())
    for array in (*rows.arrays, *targets, *weights):
        held = np.asarray(array)
        digest.update(f"{held.shape}{held.dtype}".encode())
        for begin in range(0, len(held) if held.ndim else 0, _AT_ONCE):
            digest.update(np.ascontiguousarray(held[begin : begin + _AT_ONCE]))
