"""Start-up of two workers against bare torchrun, and their throughput against one worker's.

python benchmarks/distributed.py [--repeats 5] [--images 320] [--epochs 3]

Start-up is the time from the launch of the command to the end of rank 0's first step of a small
network; medians of runs in turns. Throughput is that of the reference CNN on 128x128 images, a
batch of 32 for all workers together, each with one thread; the fastest epoch counts, the first not.
The ratio of the CPU seconds of a worker is printed, too: where other programs take the cores, it
tells what the speed would be without them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lepta.core.events import Context
from lepta.engine import Worker, train

SIDE, BATCH, CLASSES = 128, 32, 4
START_BAR, SPEED_BAR = 1.5, 1.8


def step(model: Any) -> None:
    """Take one step of a network of 16 inputs."""
    import torch

    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(8, 16)).square().sum().backward()
    optimiser.step()


def small() -> Any:
    """Return a small network."""
    from torch import nn

    return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 1))


def first_step(worker: Worker, note: str) -> None:
    """Take a step, and note when it was done."""
    from torch import nn

    step(nn.parallel.DistributedDataParallel(small()))
    if worker.rank == 0:
        Path(note).write_text(str(time.time()))


def bare_first_step(note: str) -> None:
    """Do the same under torchrun."""
    from torch import distributed, nn

    distributed.init_process_group("gloo")
    step(nn.parallel.DistributedDataParallel(small()))
    if distributed.get_rank() == 0:
        Path(note).write_text(str(time.time()))
    distributed.destroy_process_group()


def epochs(worker: Worker, sizes: tuple[int, int]) -> list[tuple[float, float]]:
    """Train on random images; return the seconds and this worker's CPU seconds of each epoch."""
    import torch
    from torch import nn

    from lepta.models.networks import ReferenceCnn
    from lepta.training.distributed import wrap

    images, count = sizes
    torch.manual_seed(worker.context.seed)
    encoder = ReferenceCnn(1, (SIDE, SIDE))
    model = wrap(nn.Sequential(encoder, nn.Linear(encoder.features, CLASSES)), worker)
    optimiser = torch.optim.AdamW(model.parameters())
    x, y = torch.rand(images, 1, SIDE, SIDE), torch.randint(0, CLASSES, (images,))
    spent = []
    for _ in range(count + 1):
        began, used = time.perf_counter(), time.process_time()
        for rows in torch.randperm(images).split(BATCH):
            mine = rows[worker.rank :: worker.world]
            loss = nn.functional.cross_entropy(model(x[mine]), y[mine])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        worker.should_stop()
        spent.append((time.perf_counter() - began, time.process_time() - used))
    return spent[1:]


def seconds_to_first_step(command: list[str], note: Path) -> float:
    """Run a command that notes when its first step was done."""
    note.unlink(missing_ok=True)
    began = time.time()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return float(note.read_text()) - began


def start_up(repeats: int, folder: Path) -> bool:
    """Print and judge the time to the first step."""
    note = folder / "note"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    commands = {
        "lepta": [sys.executable, __file__, "--first-step", str(note)],
        "torchrun": [*torchrun, __file__, "--bare-first-step", str(note)],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(repeats + 1):
        for name, command in commands.items():
            took = seconds_to_first_step(command, note)
            if number:  # the first warms the disk's cache
                times[name].append(took)
    medians = {name: statistics.median(took) for name, took in times.items()}
    for name, took in times.items():
        runs = " ".join(f"{one:.2f}" for one in took)
        print(f"{name:>10}: {medians[name]:.2f} s to the first step of two workers ({runs})")
    return bar("distributed_start_ratio", medians["lepta"] / medians["torchrun"], START_BAR, False)


def throughput(images: int, count: int) -> bool:
    """Print and judge the speed of two workers against one."""
    speeds, used = {}, {}
    for world in (1, 2):
        spent = train(
            epochs,
            (images, count),
            folder=None,
            elastic=(1, 2),  # a process of its own for a single worker, too
            slots=lambda world=world: world,  # type: ignore[misc]
            context=Context(seed=3, threads=world),
        )
        seconds, cpu = zip(*spent, strict=True)
        speeds[world], used[world] = images / min(seconds), min(cpu)
        runs = " ".join(f"{images / one:.1f}" for one in seconds)
        print(f"{world} workers: {speeds[world]:.1f} images/s ({runs}), "
              f"{used[world]:.2f} CPU s a worker and epoch", flush=True)  # fmt: skip
    print(f"CPU seconds of one worker to those of each of two: {used[1] / used[2]:.2f}")
    return bar("distributed_speed_ratio", speeds[2] / speeds[1], SPEED_BAR, True)


def bar(name: str, value: float, target: float, above: bool) -> bool:
    """Print whether a value is on the right side of its target."""
    good = value >= target if above else value <= target
    print(f"BAR {name} {value:.2f} {target} {'pass' if good else 'fail'}", flush=True)
    return good


def main() -> int:
    """Return 0 when both bars are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--first-step", help=argparse.SUPPRESS)
    parser.add_argument("--bare-first-step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first_step:
        train(first_step, options.first_step, folder=None, workers=2)
        return 0
    if options.bare_first_step:
        bare_first_step(options.bare_first_step)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        good = [start_up(options.repeats, Path(folder)), throughput(options.images, options.epochs)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
