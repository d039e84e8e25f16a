"""One step of training: forward, loss, backward, a change of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lepta.engine import Device
from lepta.tasks.objective import Objective
from lepta.training.augment import blend, change, draw_places, move
from lepta.training.layout import laid
from lepta.training.options import LoopOptions
from lepta.training.rows import Rows, seed_of, share

_KINDS = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Stepper:
    """A network with its optimiser.

    Args:
        network: on the device; its weights are changed in place.
        data: rows to learn from.
        objective: what is minimised.
        options: how.
        device: where, and in which precision.
        place: rank of this worker, and the number of workers.
        called: the network as it is called to train, where workers wrap it.
    """

    def __init__(
        self,
        network: nn.Module,
        data: Rows,
        objective: Objective,
        options: LoopOptions,
        device: Device,
        place: tuple[int, int] = (0, 1),
        called: nn.Module | None = None,
    ) -> None:
        self.network, self.called = network, called or network
        self.data, self.objective, self.options = data, objective, options
        self.device, self.place = device, place
        self.type = device.device.split(":")[0]
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            groups_of(network),
            weight_decay=options.weight_decay,
            fused=self.type != "xla",
        )
        self.scaler = torch.amp.GradScaler(self.type, enabled=device.precision == "fp16")
        self.pictures = data.are_pictures()

    def __call__(self, rows: NDArray[np.int64], seed: int, rate: float) -> Tensor:
        """Change the weights once.

        Args:
            rows: of the whole batch; this worker computes its share.
            seed: of this step; dropout, augmentation and mixup depend on it alone.
            rate: the learning rate.

        Returns:
            This worker's part of the batch's mean loss, as a scalar that needs no gradient.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        rank, world = self.place
        total = float(self.data.weight(rows).sum()) or 1.0
        # Every worker takes as many parts as the one with the most rows: gradients are averaged
        # after each, and a worker that did so less often would leave the others waiting.
        count = min(self.options.accumulate, max(1, math.ceil(len(rows) / world)))
        losses = []
        for number, part in enumerate(np.array_split(share(rows, rank, world), count)):
            kept = len(part) > 0
            loss = self._loss(part if kept else rows[:1], seed_of(seed, rank, number)) / total
            # Workers average their gradients: times their number, that is the sum.
            self.scaler.scale(loss * (world if kept else 0.0)).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach() * kept)
        self._change()
        return torch.stack(losses).sum()

    def _change(self) -> None:
        if self.options.clip > 0:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.parameters, self.options.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)

    def _loss(self, rows: NDArray[np.int64], seed: int) -> Tensor:
        """Return the sum of the weighted losses of ``rows``."""
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        tensors, y = self.data.batch(rows), self.objective.targets(self.data.y, rows)
        if self.options.augment and any(self.pictures):
            theta, reach = self._places(len(rows), generator), self.options.contrast
            y = self.objective.moved(y, theta)
            tensors = [
                change(move(tensor, theta), generator, reach) if picture else tensor
                for tensor, picture in zip(tensors, self.pictures, strict=True)
            ]
        weights = torch.from_numpy(self.data.weight(rows)).float().to(self.device.device)
        if self.options.mixup <= 0:
            return (self._losses(tensors, y) * weights).sum()
        kept = float(np.random.default_rng(seed).beta(self.options.mixup, self.options.mixup))
        others = torch.randperm(len(rows), generator=generator)
        raw = self.forward(blend(tensors, kept, others))
        mine = self._rated(raw, y) * weights
        theirs = self._rated(raw, _chosen(y, others)) * weights[others.to(weights.device)]
        return kept * mine.sum() + (1 - kept) * theirs.sum()

    def _places(self, count: int, generator: torch.Generator) -> Tensor:
        """Return where each image is looked at."""
        crop, mirror, flip = self.options.crop, self.options.mirror, self.options.flip
        upright = self.objective.upright
        return draw_places(count, generator, crop, mirror, flip=flip, upright=upright)

    def _losses(self, tensors: list[Tensor], y: Any) -> Tensor:
        return self._rated(self.forward(tensors), y)

    def _rated(self, raw: Any, y: Any) -> Tensor:
        return self.objective.losses(raw, self._there(y))

    def _there(self, y: Any) -> Any:
        """Return targets on the device, numbers in float32: not every device has float64."""
        device = self.device.device
        return each(y, lambda t: (t.float() if t.dtype == torch.float64 else t).to(device))

    def forward(self, tensors: list[Tensor], called: nn.Module | None = None) -> Any:
        """Return what the network gives, in float32."""
        moved = [laid(tensor.to(self.device.device, non_blocking=True)) for tensor in tensors]
        with self._autocast():
            raw = (called or self.called)(*moved)
        return each(raw, lambda t: t.float() if t.is_floating_point() else t)

    @torch.no_grad()
    def evaluate(
        self, data: Rows, objective: Objective, pieces: list[NDArray[np.int64]]
    ) -> tuple[float, float]:
        """Return the sum of the weighted losses of ``pieces`` of ``data``, and that of weights.

        For an empty piece the network is called all the same: workers must call it equally often.
        """
        self.network.eval()
        losses, weights = 0.0, 0.0
        for piece in pieces:
            rows = piece if len(piece) > 0 else np.zeros(1, np.int64)
            raw = self.forward(data.batch(rows), self.network)
            given = self._there(objective.targets(data.y, rows))
            one = objective.losses(raw, given).cpu().double().numpy()
            weight = data.weight(rows) * (len(piece) > 0)
            losses, weights = losses + float(one @ weight), weights + float(weight.sum())
        self.network.train()
        return losses, weights

    def _autocast(self) -> AbstractContextManager[object]:
        kind = _KINDS.get(self.device.precision)
        return nullcontext() if kind is None else torch.autocast(self.type, kind)


def groups_of(network: nn.Module) -> list[dict[str, Any]]:
    """Return groups of parameters, each with its share ("scale") of the learning rate.

    A network that has ``parameter_groups()`` says so itself.
    """
    if hasattr(network, "parameter_groups"):
        return list(network.parameter_groups())  # type: ignore[operator]
    return [{"params": [p for p in network.parameters() if p.requires_grad], "scale": 1.0}]


def each(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Apply ``function`` to every tensor of nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, list | tuple):
        return type(value)(each(item, function) for item in value)
    if isinstance(value, dict):
        return {key: each(item, function) for key, item in value.items()}
    return value


def _chosen(y: Any, rows: Tensor) -> Any:
    return y[rows] if isinstance(y, Tensor) else [y[int(row)] for row in rows]
