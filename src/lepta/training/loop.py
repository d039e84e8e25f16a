"""The loop: epochs over shuffled batches, the best epoch kept, the state written now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lepta.core.errors import TrainError
from lepta.core.events import Context, Stage
from lepta.engine import Device, choose
from lepta.engine.worker import Alone, Worker
from lepta.tasks import Task
from lepta.tasks.objective import Objective, objective_of
from lepta.training.distributed import wrap
from lepta.training.finder import find_learning_rate
from lepta.training.layout import fast_layout
from lepta.training.options import LoopOptions
from lepta.training.probes import Probe
from lepta.training.rows import Rows, batches, count_steps, seed_of, share
from lepta.training.schedule import SCHEDULES
from lepta.training.state import (
    STATE,
    Progress,
    bytes_to_tensors,
    optimiser_tensors,
    place_like,
    read_progress,
    restore_optimiser,
    tensors_to_bytes,
    whole,
)
from lepta.training.step import Stepper

__all__ = ["LoopOptions", "Rows", "predict_network", "train_network"]

_PIECE = 128
"""Rows that are evaluated at once."""
_LOOK = 10
"""Steps between two looks at the clock where workers must agree."""


def train_network(
    network: nn.Module, train: Rows, valid: Rows, task: Task, options: LoopOptions, context: Context
) -> nn.Module:
    """Train in place and return the network with the weights of its best epoch.

    The loss is the task's objective; the best epoch is that with the least plain loss (neither
    focal nor smoothed) on ``valid``, or the last one where ``valid`` has no rows. All randomness
    comes from the seed and from what it is for (epoch, step), so a training that goes on from
    ``options.checkpoint`` ends with the weights of one that was never disturbed.

    Raises:
        TrainError: the loss is not finite from the start; a checkpoint cannot be written.
    """
    if options.workers > 1 or options.engine != "local" or options.checkpoint is not None:
        from lepta.training.spread import train_spread

        weights = train_spread(network, train, valid, task, options, context)
    else:
        weights = train_as(Alone(None, context), network, train, valid, task, options)
    network = network.cpu().eval()
    network.load_state_dict(weights)
    return network


def train_as(
    worker: Worker, network: nn.Module, train: Rows, valid: Rows, task: Task, options: LoopOptions
) -> dict[str, Tensor]:
    """Train as one of several workers, or alone; every one returns the best weights."""
    shards = worker.world > 1 and options.strategy == "fsdp"  # which must be contiguous
    with _own_randomness(), nullcontext() if shards else fast_layout(network):
        return Loop(worker, network, train, valid, task, options).run()


class Loop:
    """One training in one worker.

    Args:
        worker: rank, checkpoints, reports.
        network: weights to begin with, on the CPU.
        train: rows to learn from.
        valid: rows to choose the epoch by.
        task: names the objective.
        options: how.
    """

    def __init__(
        self,
        worker: Worker,
        network: nn.Module,
        train: Rows,
        valid: Rows,
        task: Task,
        options: LoopOptions,
    ) -> None:
        self.worker, self.context, self.options = worker, worker.context, options
        self.train, self.valid = train, valid
        self.objective = objective_of(task, focal=options.focal, smoothing=options.smoothing)
        self.plain = objective_of(task)
        for objective in (self.objective, self.plain):
            objective.fit(train.y)
        device = choose(options.device, threads=self.context.threads)
        torch.set_num_threads(device.threads)
        self.network = network.to(device.device).train()
        _set_scale(network, self.objective)
        saved = worker.load() or {}
        self.at = read_progress(saved) if saved else self._begin(device)
        self.context.choices.update(self.at.choices)
        device = device.model_copy(update={"precision": self.at.precision})
        if saved:
            network.load_state_dict(bytes_to_tensors(saved["network.safetensors"]))
        self.step = self._stepper(device)
        self.best = _tensors(saved, "best.safetensors")
        self.average: dict[str, Tensor] = {}
        if options.average > 0:
            self.average = {name: parameter.detach().clone() for name, parameter in self._learned()}
        self._restore(saved)
        if worker.rank > 0:
            self.at.losses = 0.0  # those in a checkpoint are the sum of all workers' parts
        self.steps = count_steps(len(train), self.at.batch)
        self.saved_at = time.monotonic()

    def _begin(self, device: Device) -> Progress:
        """Choose what is left to choose; the workers take what the first one chose."""
        if self.worker.world == 1:
            return self._choose(device)
        import torch.distributed as dist

        chosen: list[Any] = [self._choose(device) if self.worker.rank == 0 else None]
        dist.broadcast_object_list(chosen)
        first: Progress = chosen[0]
        return first

    def _choose(self, device: Device) -> Progress:
        options = self.options
        given = (self.network, self.train, self.objective, options)
        probe = Probe(*given, self.context)
        device = probe.precision(device)
        batch = probe.batch(device) if options.batch == "auto" else options.batch
        rate = options.learning_rate
        if rate == "auto":
            rate = find_learning_rate(*given, device, self.context.seed, batch).best
        steps = count_steps(len(self.train), batch)
        chosen = dict(self.context.choices)
        total = options.epochs * steps
        return Progress(device.precision, batch, rate, total=total, choices=chosen)

    def _stepper(self, device: Device) -> Stepper:
        """Return the step, with the network spread over the workers."""
        if self.options.compile:
            self.network.compile()
        called = wrap(self.network, self.worker, self.options.strategy)
        place = (self.worker.rank, self.worker.world)
        return Stepper(
            self.network, self.train, self.objective, self.options, device, place, called
        )

    def run(self) -> dict[str, Tensor]:
        """Train to the end, or until the worker is to stop; return the best weights."""
        with self.context.stage("training", total=self.options.epochs, unit="epoch") as stage:
            if self.at.epoch > 0:
                stage.advance(self.at.epoch)
            while not self.at.finished:
                began, first = time.monotonic(), self.at.step
                if not self._epoch():
                    break
                self._judge(stage, time.monotonic() - began, max(1, self.steps - first))
        self._save()
        if not self.best:
            self._keep()
        return self.best

    def _epoch(self) -> bool:
        """Take the steps that the epoch still has; return whether it came to its end."""
        seed, at = self.context.seed, self.at
        schedule = SCHEDULES[self.options.schedule]
        losses: list[Tensor] = []
        stopping = False
        for number, rows in enumerate(batches(len(self.train), at.batch, seed, at.epoch)):
            if number < at.step:
                continue
            done = at.epoch * self.steps + number
            rate = at.rate * schedule(min(done / at.total, 1.0))
            losses.append(self.step(rows, seed_of(seed, at.epoch, number), rate))
            self._follow(done)
            at.step = number + 1
            stopping, saving = self._look()
            if stopping or saving:
                at.losses, losses = at.losses + _sum(losses), []
            if saving:
                self._save()
            if stopping and at.step < self.steps:
                return False
        at.losses += _sum(losses)
        return True

    def _judge(self, stage: Stage, seconds: float, steps: int) -> None:
        """Evaluate the epoch, keep the weights when they are the best, see whether to go on."""
        at, options = self.at, self.options
        loss, mean = self._evaluate(), self._mean(at.losses / self.steps)
        at.epoch, at.step, at.losses = at.epoch + 1, 0, 0.0
        watched = {"valid_loss": loss} if len(self.valid) > 0 else {}
        stage.advance(1, loss=mean, **watched, seconds=seconds)
        if not math.isfinite(mean) and not self.best:
            raise TrainError(
                f"The training loss is {mean} after epoch {at.epoch}.",
                fix="Take a lower learning rate, or device='cpu:fp32'; look for huge values.",
            )
        at.stale += len(watched)
        if loss < at.best:
            at.best, at.stale = loss, 0
            self._keep()
        if at.epoch == 1:
            self._fit_budget(seconds * self.steps / steps)
        at.finished = (
            at.epoch >= options.epochs
            or at.epoch * self.steps >= at.total
            or at.stale > options.patience
            or not math.isfinite(mean)
        )

    def _fit_budget(self, seconds: float) -> None:
        """Shorten the schedule so that it ends before the deadline, as the first worker sees it.

        Each has its own clock; with schedules of their own they would drift apart, and wait for
        each other at the end.
        """
        left = self.context.seconds_left()
        if left < math.inf:
            affordable = 1 + max(0, int(0.95 * left / max(seconds, 1e-6)))
            (first,) = self._sums(float(affordable if self.worker.rank == 0 else 0))
            self.at.total = min(self.at.total, int(first) * self.steps)

    def _evaluate(self) -> float:
        """Return the mean validation loss, of the averaged weights where there are some."""
        rank, world = self.worker.rank, self.worker.world
        rows = np.arange(len(self.valid))
        pieces = np.array_split(rows, max(1, math.ceil(len(rows) / (_PIECE * world))))
        mine = [share(piece, rank, world) for piece in pieces if len(piece) > 0]
        self._share_buffers()
        with self._averaged():
            losses, weights = self.step.evaluate(self.valid, self.plain, mine)
        losses, weights = self._sums(losses, weights)
        return losses / weights if weights > 0 else math.inf

    def _share_buffers(self) -> None:
        """Give all workers the statistics of the first one's batch norms: those that are kept."""
        if self.worker.world == 1:
            return
        import torch.distributed as dist

        for buffer in self.network.buffers():
            dist.broadcast(buffer, 0)

    def _learned(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((n, p) for n, p in self.network.named_parameters() if p.requires_grad)

    def _follow(self, done: int) -> None:
        """Let the running mean of the weights follow them (Polyak & Juditsky 1992)."""
        if not self.average:
            return
        decay = min(self.options.average, (1 + done) / (10 + done))
        now = [parameter.detach() for _, parameter in self._learned()]
        torch._foreach_lerp_(list(self.average.values()), now, 1 - decay)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the averaged weights in the network's place for a while."""
        names = dict(self._learned()) if self.average else {}
        own = {name: parameter.detach().clone() for name, parameter in names.items()}
        with torch.no_grad():
            for name, parameter in names.items():
                parameter.copy_(self.average[name])
            yield
            for name, parameter in names.items():
                parameter.copy_(own[name])

    def _keep(self) -> None:
        """Keep a copy of the weights."""
        with self._averaged():
            state = self.network.state_dict()
            self.best = {name: whole(tensor).cpu().clone() for name, tensor in state.items()}

    def _look(self) -> tuple[bool, bool]:
        """Return whether to stop and whether to save now; the same for all workers."""
        if self.worker.world > 1 and self.at.step % _LOOK and self.at.step < self.steps:
            return False, False
        stopping = self.worker.should_stop()
        if self.worker.folder is None:
            return stopping, False
        late = time.monotonic() - self.saved_at >= self.options.checkpoint_seconds
        return stopping, self._sums(float(late and self.worker.rank == 0), 0.0)[0] > 0

    def _save(self) -> None:
        """Write a checkpoint: whatever the rest of the training depends on."""
        if self.worker.folder is None:
            return
        at, self.saved_at = self.at, time.monotonic()
        state = self.step.scaler.state_dict()
        at.scale, at.grown = state.get("scale", 0.0), state.get("_growth_tracker", 0)
        losses = self._mean(at.losses)
        if self.worker.rank > 0 and self.options.strategy == "ddp":
            return
        members = {
            STATE: replace(at, losses=losses).json(),
            "network.safetensors": tensors_to_bytes(self.network.state_dict()),
            "optimiser.safetensors": tensors_to_bytes(
                optimiser_tensors(self.network, self.step.optimiser)
            ),
            "average.safetensors": tensors_to_bytes(self.average),
            "best.safetensors": tensors_to_bytes(self.best),
        }
        self.worker.save(members, at.epoch * self.steps + at.step)

    def _restore(self, saved: Mapping[str, bytes]) -> None:
        """Go on from what :meth:`_save` wrote; the network has its weights already."""
        if not saved:
            return
        restore_optimiser(
            self.network, self.step.optimiser, _tensors(saved, "optimiser.safetensors")
        )
        for name, tensor in _tensors(saved, "average.safetensors").items():
            self.average[name] = place_like(self.average[name], tensor)
        if self.at.scale > 0:
            scaler = self.step.scaler
            scaler.load_state_dict(
                scaler.state_dict() | {"scale": self.at.scale, "_growth_tracker": self.at.grown}
            )

    def _sums(self, *values: float) -> list[float]:
        """Return values summed over all workers."""
        if self.worker.world == 1:
            return list(values)
        import torch.distributed as dist

        device = self.step.device.device if dist.get_backend() == "nccl" else "cpu"
        tensor = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(tensor)
        summed: list[float] = tensor.tolist()
        return summed

    def _mean(self, loss: float) -> float:
        """Return the mean loss of a batch from every worker's part of it."""
        return self._sums(loss)[0]


def _sum(losses: list[Tensor]) -> float:
    return math.fsum(torch.stack(losses).tolist()) if losses else 0.0


def _tensors(saved: Mapping[str, bytes], name: str) -> dict[str, Tensor]:
    return bytes_to_tensors(saved[name]) if name in saved else {}


def _set_scale(network: nn.Module, objective: Objective) -> None:
    """Tell the network the unit of the target, where it has room for it."""
    buffers = dict(network.named_buffers())
    for name, value in (("center", objective.center), ("scale", objective.scale)):
        if name in buffers:
            buffers[name].copy_(value)


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Leave the caller's random numbers as they were."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices):
        yield


@torch.no_grad()
def predict_network(
    network: nn.Module, names: Sequence[str], arrays: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return raw scores (rows, width) in float32."""
    network.eval()
    rows = Rows([arrays[name] for name in names], np.empty(len(arrays[names[0]])))
    pieces = np.array_split(np.arange(len(rows)), max(1, math.ceil(len(rows) / _PIECE)))
    return np.concatenate([network(*rows.batch(piece)).float().numpy() for piece in pieces])
