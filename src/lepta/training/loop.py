"""The loop: epochs over shuffled batches, the best epoch kept."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lepta.core.events import Context, Stage
from lepta.engine import choose
from lepta.tasks import Task
from lepta.tasks.objective import Objective, objective_of
from lepta.training.augment import change, draw_places, move


@dataclass(frozen=True)
class LoopOptions:
    """How a network is trained.

    Attributes:
        epochs: epochs at the most; fewer when the time budget is short.
        batch: rows in a step.
        learning_rate: highest rate of the one-cycle schedule.
        weight_decay: decoupled weight decay of AdamW.
        patience: epochs without a better validation loss after which to stop.
        augment: whether images are changed a little in each epoch.
        focal: exponent of the focal loss, for classes of which one is rare; 0 is the plain loss.
        smoothing: share of each target spread over all classes.
        device: where to compute, as ``lepta.engine.choose`` reads it: "auto", "cpu", "cuda:0:bf16".
    """

    epochs: int = 30
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    patience: int = 8
    augment: bool = True
    device: str = "auto"
    focal: float = 0.0
    smoothing: float = 0.0


@dataclass(frozen=True)
class Rows:
    """Prepared arrays in the order in which the network takes them, targets, and row weights.

    Attributes:
        arrays: each with rows first.
        y: targets, as the task's objective takes them: an array with rows first (classes,
            numbers, masks), or a list with one item a row (boxes).
        weights: (rows,), or None where all rows count the same.
    """

    arrays: Sequence[NDArray[np.float32]]
    y: Any
    weights: NDArray[np.float64] | None = None

    def batch(self, rows: NDArray[np.int64]) -> list[Tensor]:
        """Return the chosen rows as tensors."""
        return [torch.from_numpy(np.ascontiguousarray(array[rows])) for array in self.arrays]


def train_network(
    network: nn.Module, train: Rows, valid: Rows, task: Task, options: LoopOptions, context: Context
) -> nn.Module:
    """Train in place and return the network with the weights of its best epoch.

    The loss is the task's objective; the best epoch is that with the least plain loss (neither
    focal nor smoothed) on ``valid``. The order of rows depends on the seed and the epoch alone.
    """
    run = _Run(network, train, valid, task, options, context)
    with context.stage("training", total=options.epochs, unit="epoch") as stage:
        return run.fit(stage)


class _Run:
    def __init__(
        self,
        network: nn.Module,
        train: Rows,
        valid: Rows,
        task: Task,
        options: LoopOptions,
        context: Context,
    ) -> None:
        torch.manual_seed(context.seed)
        self.device = choose(options.device, threads=context.threads)
        torch.set_num_threads(self.device.threads)
        self.network = network.to(self.device.device)
        _lay_channels_last(network)
        self.train, self.valid = train, valid
        self.objective = objective_of(task, focal=options.focal, smoothing=options.smoothing)
        self.plain = objective_of(task)
        for objective in (self.objective, self.plain):
            objective.fit(train.y)
        _set_scale(network, self.objective)
        self.options, self.context = options, context
        self.steps = max(1, math.ceil(len(train.y) / options.batch))
        self.optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            fused=True,
        )
        self.total = options.epochs * self.steps
        self.done = 0

    def fit(self, stage: Stage) -> nn.Module:
        best, best_loss, stale = copy.deepcopy(self.network.state_dict()), math.inf, 0
        for epoch in range(self.options.epochs):
            began = time.monotonic()
            train_loss = self.epoch(epoch)
            loss = self.evaluate()
            stage.advance(loss=train_loss, valid_loss=loss)
            stale += 1
            if loss < best_loss:
                best, best_loss, stale = copy.deepcopy(self.network.state_dict()), loss, 0
            if epoch == 0:
                self._fit_budget(time.monotonic() - began)
            if self.done >= self.total or stale > self.options.patience:
                break
        self.network.load_state_dict(best)
        return self.network.eval().cpu()

    def _fit_budget(self, seconds: float) -> None:
        """Shorten the schedule so that it ends before the deadline."""
        left = self.context.seconds_left()
        if left < math.inf:
            affordable = 1 + max(0, int(0.95 * left / max(seconds, 1e-6)))
            self.total = min(self.total, affordable * self.steps)

    def epoch(self, epoch: int) -> float:
        self.network.train()
        generator = torch.Generator().manual_seed(self.context.seed * 1_000_003 + epoch)
        losses = []
        for rows in self._order(generator):
            for group in self.optimiser.param_groups:
                group["lr"] = self.options.learning_rate * _one_cycle(self.done / self.total)
            self.optimiser.zero_grad(set_to_none=True)
            loss = self._loss(self.train, rows, generator)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimiser.step()
            self.done += 1
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def _order(self, generator: torch.Generator) -> Iterator[NDArray[np.int64]]:
        order = torch.randperm(len(self.train.y), generator=generator).numpy()
        pieces = np.array_split(order, self.steps)
        yield from (piece for piece in pieces if len(piece) > 1 or self.steps == 1)

    def _loss(self, data: Rows, rows: NDArray[np.int64], generator: torch.Generator) -> Tensor:
        tensors, y = data.batch(rows), self.objective.targets(data.y, rows)
        if self.options.augment and any(tensor.ndim == 4 for tensor in tensors):
            theta = draw_places(len(rows), generator)
            y = self.objective.moved(y, theta)
            tensors = [change(move(t, theta), generator) if t.ndim == 4 else t for t in tensors]
        with self._autocast():
            raw = self._forward(tensors)
        losses = self.objective.losses(raw.float().cpu(), y)
        if data.weights is None:
            return losses.mean()
        weights = torch.from_numpy(data.weights[rows]).float()
        return (losses * weights).sum() / weights.sum()

    def _forward(self, tensors: list[Tensor]) -> Tensor:
        moved = [tensor.to(self.device.device) for tensor in tensors]
        laid = [
            t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for t in moved
        ]
        raw: Tensor = self.network(*laid)
        return raw

    def _autocast(self) -> AbstractContextManager[object]:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        if self.device.precision not in kinds:
            return nullcontext()
        return torch.autocast(self.device.device.split(":")[0], kinds[self.device.precision])

    @torch.no_grad()
    def evaluate(self) -> float:
        self.network.eval()
        losses = []
        for rows in np.array_split(
            np.arange(len(self.valid.y)), math.ceil(len(self.valid.y) / 128)
        ):
            with self._autocast():
                raw = self._forward(self.valid.batch(rows)).float().cpu()
            losses.append(self.plain.losses(raw, self.plain.targets(self.valid.y, rows)))
        return float(np.average(torch.cat(losses).numpy(), weights=self.valid.weights))


def _lay_channels_last(network: nn.Module) -> None:
    """Store convolution weights channels last, which CPUs compute faster."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _set_scale(network: nn.Module, objective: Objective) -> None:
    """Tell the network the unit of the target, where it has room for it."""
    buffers = dict(network.named_buffers())
    for name, value in (("center", objective.center), ("scale", objective.scale)):
        if name in buffers:
            buffers[name].copy_(value)


def _one_cycle(progress: float, warm: float = 0.2) -> float:
    """Rise linearly, then fall as a cosine (Smith & Topin 2017, arXiv:1708.07120)."""
    if progress < warm:
        return 0.05 + 0.95 * progress / warm
    return max(0.001, 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm))))


@torch.no_grad()
def predict_network(
    network: nn.Module, names: Sequence[str], arrays: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return raw scores (rows, width) in float32."""
    network.eval()
    rows = Rows([arrays[name] for name in names], np.empty(len(arrays[names[0]])))
    pieces = np.array_split(np.arange(len(rows.y)), max(1, math.ceil(len(rows.y) / 128)))
    return np.concatenate([network(*rows.batch(piece)).float().numpy() for piece in pieces])
