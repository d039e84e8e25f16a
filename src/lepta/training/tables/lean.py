"""A short loop for small networks on tables that fit into memory: little work beside the steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lepta.core.events import Context
from lepta.core.space import Range
from lepta.tasks import Task
from lepta.tasks.objective import Objective, objective_of
from lepta.training.tables.members import Layer, Members

_STEPS = 8
"""Steps, at least, that an epoch is cut into."""
_LEAST_BATCH = 16
_BETAS, _TINY = (0.9, 0.999), 1e-8
_SMALL = 0.1
"""Factor of the first heads of networks that add to given scores: they begin near zero."""
_PIECE = 2048
"""Rows that are evaluated at once."""


@dataclass(frozen=True)
class LeanOptions:
    """How the members are made and trained.

    Attributes:
        members: networks trained at once, which share weights.
        width: outputs of a hidden layer.
        depth: hidden layers.
        dropout: share of the outputs of hidden layers that are left out in a step.
        learning_rate, weight_decay: of AdamW (Loshchilov & Hutter 2019).
        batch: rows in a step, fewer where an epoch would have less than eight steps.
        epochs: at the most.
        patience: epochs without a better validation loss after which to stop.
        smoothing: share of each class spread over all.
    """

    members: int = 8
    width: Annotated[int, Range(32, 128, log=True)] = 64
    depth: Annotated[int, Range(1, 3)] = 2
    dropout: Annotated[float, Range(0.0, 0.4)] = 0.0
    learning_rate: Annotated[float, Range(2e-3, 2e-2, log=True)] = 1e-2
    weight_decay: Annotated[float, Range(1e-4, 1e-1, log=True)] = 3e-4
    batch: int = 256
    epochs: int = 200
    patience: int = 16
    smoothing: float = 0.0


@dataclass(frozen=True, eq=False)
class LeanRows:
    """Inputs (rows, inputs), targets, and row weights or None.

    Attributes:
        start: raw scores (rows, width) that the networks add to, or None.
    """

    x: NDArray[np.float32]
    y: NDArray[Any]
    weights: NDArray[np.float64] | None
    start: NDArray[np.float32] | None = None


def train_members(
    train: LeanRows, valid: LeanRows | None, task: Task, options: LeanOptions, context: Context
) -> tuple[Members, int]:
    """Train networks that share weights; return them as of their best epoch, and its number.

    The members are those of TabM (Gorishniy et al. 2025): a layer's weights are one for all, each
    member scales its inputs, beginning with random signs, and has its own bias and head; each
    sees the rows in its own order and has its own loss. What is published scales the outputs too,
    which the scales of the next layer's inputs make up for.

    Args:
        train: rows to learn from.
        valid: rows to choose the epoch by; None trains all epochs.
        task: names the loss.
        options: how.
        context: seed, threads, deadline; a started epoch is broken off when time is up.
    """
    with _alone(context):
        return _Training(train, valid, task, options, context).run()


class _Training:
    def __init__(
        self,
        train: LeanRows,
        valid: LeanRows | None,
        task: Task,
        options: LeanOptions,
        context: Context,
    ) -> None:
        self.options, self.context = options, context
        self.objective = _fitted(objective_of(task, smoothing=options.smoothing), train.y)
        self.plain = _fitted(objective_of(task), train.y)
        self.scale = self.plain.scale.float()
        self.center = self.plain.center.float() * (train.start is None)
        self.train, self.valid = _Ready(train, self.objective), None
        if valid is not None and len(valid.x):
            self.valid = _Ready(valid, self.plain)
        self.network = _Network(train.x.shape[1], len(self.center), options)
        if train.start is not None:
            self.network.head.data.mul_(_SMALL)
        self.optimiser = _AdamW(self.network, options)
        self.order = np.random.default_rng(context.seed)

    def run(self) -> tuple[Members, int]:
        best, chosen, epoch = math.inf, 0, 0
        kept = {name: part.clone() for name, part in self.network.state_dict().items()}
        with self.context.stage("network", total=self.options.epochs, unit="epoch") as stage:
            for epoch in range(1, self.options.epochs + 1):
                self._epoch()
                over = self.context.seconds_left() <= 0
                if self.valid is not None:
                    loss = self._loss(self.valid)
                    stage.advance(loss=loss)
                    if loss < best:
                        best, chosen = loss, epoch
                        for name, part in self.network.state_dict().items():
                            kept[name].copy_(part)
                    over = over or epoch - chosen >= self.options.patience
                else:
                    stage.advance()
                if over:
                    break
        if chosen:
            self.network.load_state_dict(kept)
        return self.network.members(self.center, self.scale), chosen or epoch

    def _epoch(self) -> None:
        count, options = len(self.train.x), self.options
        batch = min(options.batch, max(_LEAST_BATCH, count // _STEPS))
        self.network.train()
        orders = np.stack([self.order.permutation(count) for _ in range(options.members)])
        for start in range(0, count, batch):
            rows = torch.from_numpy(orders[:, start : start + batch])
            self._step(rows)
            if self.context.seconds_left() <= 0:
                return

    def _step(self, rows: Tensor) -> None:
        """Change the weights once, by rows (members, batch)."""
        raw = self.network(self.train.x[rows]) * self.scale + self.center
        if self.train.start is not None:
            raw = raw + self.train.start[rows]
        flat = rows.reshape(-1)
        losses = self.objective.losses(raw.reshape(-1, raw.shape[-1]), self.train.y[flat])
        weights = self.train.weights
        mean = losses.mean() if weights is None else (losses * weights[flat]).mean()
        mean.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    @torch.no_grad()
    def _loss(self, rows: _Ready) -> float:
        """Return the mean loss of the mean of the members."""
        self.network.eval()
        losses = []
        for start in range(0, len(rows.x), _PIECE):
            x, y = (part[start : start + _PIECE] for part in (rows.x, rows.y))
            raw = self.network(x.expand(self.options.members, -1, -1)).mean(dim=0)
            raw = raw * self.scale + self.center
            if rows.start is not None:
                raw = raw + rows.start[start : start + _PIECE]
            losses.append(self.plain.losses(raw, y).double())
        weights = torch.ones(len(rows.x)) if rows.weights is None else rows.weights
        return float((torch.cat(losses) @ weights.double()) / weights.double().sum())


class _Ready:
    """Rows as tensors."""

    def __init__(self, rows: LeanRows, objective: Objective) -> None:
        self.x = torch.from_numpy(rows.x)
        targets = objective.targets(rows.y, np.arange(len(rows.x)))
        self.y = targets.float() if targets.dtype == torch.float64 else targets
        self.weights = None if rows.weights is None else torch.from_numpy(rows.weights).float()
        self.start = None if rows.start is None else torch.from_numpy(rows.start)


class _Network(nn.Module):
    """Takes (members, rows, inputs) and gives (members, rows, width)."""

    def __init__(self, inputs: int, width: int, options: LeanOptions) -> None:
        super().__init__()
        members, hidden = options.members, options.width
        self.dropout = nn.Dropout(options.dropout)
        sizes = [inputs] + [hidden] * options.depth
        signs = torch.randint(0, 2, (members, inputs)) * 2.0 - 1
        first = signs if members > 1 else torch.ones(1, inputs)
        rest = [torch.ones(members, size) for size in sizes[1:-1]]
        self.scales = nn.ParameterList([first, *rest])
        self.weights = nn.ParameterList([_uniform((n, hidden), n) for n in sizes[:-1]])
        self.biases = nn.ParameterList([_uniform((members, hidden), n) for n in sizes[:-1]])
        self.head = nn.Parameter(_uniform((members, hidden, width), hidden))
        self.bias = nn.Parameter(torch.zeros(members, width))

    def forward(self, x: Tensor) -> Tensor:
        for scale, weight, bias in zip(self.scales, self.weights, self.biases, strict=True):
            sums = (x * scale[:, None]).reshape(-1, len(weight)) @ weight
            x = torch.relu(sums.view(len(scale), -1, weight.shape[1]) + bias[:, None])
            if self.dropout.p > 0:
                x = self.dropout(x)
        return torch.baddbmm(self.bias[:, None], x, self.head)

    def members(self, center: Tensor, scale: Tensor) -> Members:
        """Return the mean of the members as arrays, in the target's unit."""
        with torch.no_grad():
            layers = tuple(
                Layer(*(part.numpy()[None].copy() for part in parts))
                for parts in zip(self.scales, self.weights, self.biases, strict=True)
            )
            head = (self.head * scale / len(self.head)).flatten(0, 1)
            bias = self.bias.mean(dim=0) * scale + center
        return Members(layers, head.numpy()[None].copy(), bias.numpy().copy())


class _AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019); scales and biases do not decay.

    That of torch imports its compiler, which takes longer than many a fit.
    """

    def __init__(self, network: _Network, options: LeanOptions) -> None:
        heavy = {id(part) for part in [*network.weights, network.head]}
        self.rate, self.decay, self.steps = options.learning_rate, options.weight_decay, 0
        self.parts = [
            (part, torch.zeros_like(part), torch.zeros_like(part), id(part) in heavy)
            for part in network.parameters()
        ]

    @torch.no_grad()
    def step(self) -> None:
        """Change the weights by their gradients, and forget these."""
        self.steps += 1
        first, second = (1 - beta**self.steps for beta in _BETAS)
        for part, mean, square, heavy in self.parts:
            slope = part.grad
            assert slope is not None  # noqa: S101
            if heavy:
                part.mul_(1 - self.rate * self.decay)
            mean.lerp_(slope, 1 - _BETAS[0])
            square.mul_(_BETAS[1]).addcmul_(slope, slope, value=1 - _BETAS[1])
            size = (square / second).sqrt_().add_(_TINY)
            part.addcdiv_(mean, size, value=-self.rate / first)
            part.grad = None


def _fitted(objective: Objective, y: Any) -> Objective:
    objective.fit(y)
    return objective


def _uniform(shape: tuple[int, ...], inputs: int) -> Tensor:
    bound = 1 / math.sqrt(inputs)
    return torch.empty(shape).uniform_(-bound, bound)


@contextmanager
def _alone(context: Context) -> Iterator[None]:
    """Seed torch and set its threads, and leave both as they were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(context.threads or 1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            yield
    finally:
        torch.set_num_threads(threads)
