"""Training in several processes, on this machine or on a cluster, and with checkpoints."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from lepta.core.events import Context
from lepta.core.files import atomic_write
from lepta.engine.launch import train as launch
from lepta.engine.worker import Worker
from lepta.models.custom.given import Sources
from lepta.tasks import Task
from lepta.training.loop import train_as
from lepta.training.options import LoopOptions
from lepta.training.rows import Rows
from lepta.training.state import bytes_to_tensors, identity, tensors_to_bytes


@dataclass(frozen=True)
class Job:
    """What every worker is given; large arrays stand in it by the paths of their files.

    ``sources`` comes first, so that what the network is made of is there when it is unpickled.
    """

    sources: Sources
    network: nn.Module
    train: Rows
    valid: Rows
    task: Task
    options: LoopOptions
    choices: dict[str, str]


def train_spread(
    network: nn.Module, train: Rows, valid: Rows, task: Task, options: LoopOptions, context: Context
) -> dict[str, Tensor]:
    """Train as the options say where, and return the best weights.

    Checkpoints lie in a folder of ``options.checkpoint`` that is named after this training, so
    that one folder serves many; on a cluster all nodes must share it.
    """
    folder = None
    if options.checkpoint is not None:
        folder = Path(options.checkpoint) / identity(
            network, train, valid, task, options, context.seed
        )
    job = Job(Sources(), network, train, valid, task, options, context.choices)
    where: dict[str, Any] = {
        "folder": folder,
        "workers": options.workers,
        "engine": options.engine,
        "address": options.address,
        "context": context,
    }
    if options.workers == 1 and options.engine == "local":
        weights, choices = launch(work, job, **where)
    else:
        with _filed(job, folder) as filed:
            weights, choices = launch(work, filed, **where)
    context.choices.update(choices)
    return bytes_to_tensors(weights)


def work(worker: Worker, job: Job) -> tuple[bytes, dict[str, str]]:
    """Train as one worker; return the best weights as safetensors, and what was measured."""
    worker.context.choices.update(job.choices)
    train, valid = _opened(job.train), _opened(job.valid)
    best = train_as(worker, job.network, train, valid, job.task, job.options)
    return tensors_to_bytes(best), worker.context.choices


@contextmanager
def _filed(job: Job, folder: Path | None) -> Iterator[Job]:
    """Write the arrays of a job to files for a while, from which every worker maps them."""
    with _room(folder) as place:
        train, valid = _written(job.train, place / "train"), _written(job.valid, place / "valid")
        yield replace(job, network=job.network.cpu(), train=train, valid=valid)


@contextmanager
def _room(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="lepta-rows-") as passing:
            yield Path(passing)
        return
    place = folder / "rows"  # what a killed training left there is written over
    place.mkdir(parents=True, exist_ok=True)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def _written(rows: Rows, stem: Path) -> Rows:
    def write(value: Any, name: str) -> Any:
        if not isinstance(value, np.ndarray) or value.dtype == object:
            return value
        path = Path(f"{stem}-{name}.npy")
        with atomic_write(path) as stream:  # a running training may have the old one mapped
            np.save(stream, value)
        return path

    arrays: Any = [write(array, str(place)) for place, array in enumerate(rows.arrays)]
    return replace(rows, arrays=arrays, y=write(rows.y, "y"))


def _opened(rows: Rows) -> Rows:
    def read(value: Any) -> Any:
        return np.load(value, mmap_mode="r") if isinstance(value, Path) else value

    return replace(rows, arrays=[read(array) for array in rows.arrays], y=read(rows.y))
