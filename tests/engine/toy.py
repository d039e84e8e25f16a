"""A small network, trained so that a run that was killed can be compared with one that was not.

The order of rows is a function of seed and epoch, the random numbers of a step one of the step and
the rank, a checkpoint is written at every step, and each worker logs which rows it saw.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lepta.engine import Worker

WIDTH = 16


@dataclass(frozen=True)
class Job:
    """What is trained.

    Attributes:
        rows: file of an array (rows, WIDTH + 1), the target last; mapped into memory.
        log: folder in which each worker notes its steps.
        pause: seconds to sleep in each step.
    """

    rows: str
    log: str
    epochs: int = 3
    batch: int = 30
    pause: float = 0.0
    strategy: str = "ddp"


@dataclass(frozen=True)
class Done:
    """Hash of the final weights, their sum, the losses, and the worlds that trained them."""

    weights: str
    losses: list[float]
    worlds: list[int]


def make(folder: Path, rows: int = 250, **options: object) -> Job:
    """Write the data of a job."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(5)
    x = random.normal(size=(rows, WIDTH)).astype(np.float32)
    y = np.tanh(x @ random.normal(size=(WIDTH, 1)).astype(np.float32))
    np.save(folder / "rows.npy", np.hstack([x, y]))
    (folder / "log").mkdir(exist_ok=True)
    return Job(str(folder / "rows.npy"), str(folder / "log"), **options)  # type: ignore[arg-type]


def learn(worker: Worker, job: Job) -> Done:
    """Train a small network with dropout."""
    import torch
    from torch import nn

    torch.manual_seed(worker.context.seed)
    network = nn.Sequential(
        nn.Linear(WIDTH, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 32), nn.ReLU(),
        nn.Linear(32, 1),
    )  # fmt: skip
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    step, losses, worlds = _restore(worker.load(), network, optimiser)
    if not worlds or worlds[-1] != worker.world:
        worlds.append(worker.world)
    model: nn.Module = network
    if worker.world > 1:
        model = nn.parallel.DistributedDataParallel(network)
    data = np.load(job.rows, mmap_mode="r")
    per_epoch = -(-len(data) // job.batch)
    while step < job.epochs * per_epoch:
        rows = _rows(len(data), job.batch, step, per_epoch, worker.context.seed)
        mine = rows[worker.rank :: worker.world]
        torch.manual_seed(1_000_003 * step + worker.rank)
        batch = torch.from_numpy(data[mine])
        loss = ((model(batch[:, :-1]) - batch[:, -1:]) ** 2).sum() * worker.world / len(rows)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        _note(Path(job.log), worker, step, mine)
        step += 1
        losses.append(float(loss.detach()))
        worker.report(loss=losses[-1])
        time.sleep(job.pause)
        stopping = worker.should_stop()
        worker.save(_pack(step, losses, worlds, network, optimiser), step)
        if stopping:
            break
    return Done(_hash(network), losses, worlds)


def seen(job: Job) -> dict[int, dict[int, list[int]]]:
    """Return the rows of each step and rank as logged last; the same step saw the same rows."""
    found: dict[int, dict[int, list[int]]] = {}
    for path in sorted(Path(job.log).glob("*.log")):
        for line in path.read_text().splitlines():
            step, rank, world, rows = json.loads(line)
            if world not in found.setdefault(step, {}).setdefault(-1, []):
                found[step][-1].append(world)
            before = found[step].setdefault(1000 * world + rank, rows)
            assert before == rows, f"step {step} of rank {rank} saw other rows the second time"
    return found


def check_coverage(job: Job, rows: int) -> None:
    """Assert that each epoch saw each row exactly once, whatever the world was."""
    found = seen(job)
    per_epoch = -(-rows // job.batch)
    assert sorted(found) == list(range(job.epochs * per_epoch))
    for epoch in range(job.epochs):
        total: list[int] = []
        for step in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            by_world = [
                sorted(row for rank in range(w) for row in found[step].get(1000 * w + rank, []))
                for w in found[step][-1]
            ]
            total += max(by_world, key=len)
        assert sorted(total) == list(range(rows))


def _rows(count: int, batch: int, step: int, per_epoch: int, seed: int) -> "np.ndarray":
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return order[place * batch : (place + 1) * batch]


def _note(log: Path, worker: Worker, step: int, rows: "np.ndarray") -> None:
    line = json.dumps([step, worker.rank, worker.world, rows.tolist()]) + "\n"
    handle = os.open(log / f"{worker.rank}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, line.encode())
    os.close(handle)


def _pack(step, losses, worlds, network, optimiser) -> dict[str, bytes]:  # type: ignore[no-untyped-def]
    from safetensors.torch import save

    state = optimiser.state_dict()["state"]
    moments = {f"{i}.{name}": value for i, one in state.items() for name, value in one.items()}
    return {
        "network": save(network.state_dict()),
        "optimiser": save(moments),
        "place": json.dumps([step, losses, worlds]).encode(),
    }


def _restore(members: Mapping[str, bytes] | None, network, optimiser):  # type: ignore[no-untyped-def]
    from safetensors.torch import load

    if members is None:
        return 0, [], []
    network.load_state_dict(load(members["network"]))
    state: dict[int, dict[str, object]] = {}
    for name, value in load(members["optimiser"]).items():
        index, _, kind = name.partition(".")
        state.setdefault(int(index), {})[kind] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    return json.loads(members["place"])


def _hash(network) -> str:  # type: ignore[no-untyped-def]
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()
