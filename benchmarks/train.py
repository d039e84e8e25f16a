"""Training speed of the reference CNN: Lepta's loop beside plain PyTorch and Keras.

Every competitor trains the same network on the same 600 images (128x128x1, batch 32, Adam at
1e-3, binary cross-entropy) in a process of its own; processes of all competitors take turns, once
a seed, so that a busy machine disturbs them alike. An epoch counts without validation; the median
over epochs (the first left out) and seeds is shown. CPU seconds are those of the whole process.

    make bench-peers                      # once: an environment with TensorFlow
    python benchmarks/train.py            # all; about five minutes on two quiet cores
    python benchmarks/train.py --only lepta torch --seeds 1
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
BATCH, RATE = 32, 1e-3
PEERS = ROOT / ".venv-peers" / "tensorflow" / "bin" / "python"


def make_data(path: Path, train: int = 600, valid: int = 400) -> None:
    """Write noisy images of one disc each; brighter than what is around it in half of them."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, train + valid).astype(np.int64)
    x = rng.normal(0.5, 0.15, (train + valid, 128, 128)).astype(np.float32)
    rows, columns = np.mgrid[:128, :128]
    for image, label in zip(x, y, strict=True):
        top, left = rng.uniform(24, 104, 2)
        radius = rng.uniform(9, 16)
        disc = (rows - top) ** 2 + (columns - left) ** 2 < radius**2
        image[disc] += 0.2 if label else -0.2
    np.savez(path, x=x[:train], y=y[:train], vx=x[train:], vy=y[train:])


class Epochs:
    """CPU and wall seconds of each epoch."""

    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.wall: list[float] = []
        self.start()

    def start(self) -> None:
        """Begin an epoch."""
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def end(self) -> None:
        """End an epoch and begin the next."""
        self.cpu.append(time.process_time() - self._cpu)
        self.wall.append(time.perf_counter() - self._wall)
        self.start()


def reference_network() -> Any:
    """Return the network in torch, one logit at its end."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 30 * 30, 64),
        nn.ReLU(),
        nn.Linear(64, 1),
    )


def torch_plain(data: dict[str, Any], seed: int, epochs: int) -> tuple[Epochs, float]:
    """Train as a tutorial would: fp32, Adam, no settings."""
    import torch

    torch.manual_seed(seed)
    x, y = torch.from_numpy(data["x"])[:, None], torch.from_numpy(data["y"]).float()
    network = reference_network()
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    loss_of = torch.nn.BCEWithLogitsLoss()
    clock = Epochs()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            loss_of(network(x[rows])[:, 0], y[rows]).backward()
            optimiser.step()
        clock.end()
    with torch.no_grad():
        logits = network(torch.from_numpy(data["vx"])[:, None])[:, 0]
    return clock, accuracy(logits.numpy() > 0, data)


def lepta_loop(data: dict[str, Any], seed: int, epochs: int) -> tuple[Epochs, float]:
    """Train with Lepta's loop as ``lepta.fit`` calls it; same optimiser and rate, no extras."""
    from lepta.engine import tune_process

    tune_process()
    network, clock = _lepta(data, seed, epochs)
    from lepta.training.loop import predict_network

    logits = predict_network(network, ["image"], {"image": data["vx"][:, None]})
    return clock, accuracy(logits.argmax(1), data)


def _lepta(
    data: dict[str, Any], seed: int, epochs: int, device: str = "auto"
) -> tuple[Any, Epochs]:
    import torch

    from lepta.core.events import Context, StageAdvanced
    from lepta.training.loop import LoopOptions, Rows, train_network

    clock = Epochs()
    context = Context(
        seed=seed,
        report=lambda event: clock.end() if isinstance(event, StageAdvanced) else clock.start(),
    )
    options = LoopOptions(
        epochs=epochs,
        batch=BATCH,
        learning_rate=RATE,
        schedule="constant",
        weight_decay=0.0,
        augment=False,
        device=device,
    )
    torch.manual_seed(seed)
    network = _network()
    x, y = data["x"][:, None], data["y"]
    train_network(network, Rows([x], y), Rows([x[:0]], y[:0]), _task(), options, context)
    return network, clock


def _network() -> Any:
    from lepta.models.networks import Network, ReferenceCnn

    return Network([ReferenceCnn(1, 128, dropout=0.0)], 64, 2)


def _task() -> Any:
    from lepta.tasks import Binary

    return Binary(target="disc", classes=("no", "yes"))


def bare_steps(data: dict[str, Any], seed: int, epochs: int) -> tuple[Epochs, float]:
    """Take the steps of Lepta's loop with nothing around them, in turns with the loop itself.

    Both compute in the same precision. The second figure is the overhead: the least CPU seconds of
    an epoch of the loop over those of the bare steps, minus one.
    """
    from lepta.engine import tune_process

    tune_process()
    import torch

    from lepta.engine import detect
    from lepta.training.layout import fast_layout

    x = torch.from_numpy(data["x"])[:, None]
    y = torch.from_numpy(data["y"])
    half = detect(providers=False).bf16
    bare, loop = Epochs(), Epochs()
    for turn in range(3):
        _, one = _lepta(data, seed, epochs, "cpu:bf16" if half else "cpu:fp32")
        loop.cpu += one.cpu[1:]
        torch.manual_seed(seed + turn)
        network = _network()
        with fast_layout(network):
            optimiser = torch.optim.AdamW(
                network.parameters(), lr=RATE, weight_decay=0.0, fused=True
            )
            one = Epochs()
            for _ in range(epochs):
                _bare_epoch(network, optimiser, x, y, half)
                one.end()
        bare.cpu += one.cpu[1:]
        bare.wall += one.wall[1:]
    return bare, min(loop.cpu) / min(bare.cpu) - 1


def _bare_epoch(network: Any, optimiser: Any, x: Any, y: Any, half: bool) -> None:
    import torch
    from torch.nn import functional

    from lepta.training.layout import laid

    for rows in torch.randperm(len(x)).tensor_split(-(-len(x) // BATCH)):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            raw = network(laid(x[rows]))
        functional.cross_entropy(raw.float(), y[rows]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def keras_fit(data: dict[str, Any], seed: int, epochs: int) -> tuple[Epochs, float]:
    """Train as the first page of Keras' guide does."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    clock = Epochs()
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: clock.start(), on_epoch_end=lambda *_: clock.end()
    )
    x, y = data["x"][..., None], data["y"].astype(np.float32)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[watch])
    found = model.predict(data["vx"][..., None], verbose=0)[:, 0]
    return clock, accuracy(found > 0.5, data)


def accuracy(answers: Any, data: dict[str, Any]) -> float:
    """Return the share of validation rows that are right."""
    return float((answers.astype(int) == data["vy"]).mean())


COMPETITORS: dict[str, tuple[Callable[..., tuple[Epochs, float]], dict[str, str]]] = {
    "lepta": (lepta_loop, {}),
    "torch": (torch_plain, {}),
    "keras-tensorflow": (keras_fit, {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}),
    "keras-torch": (keras_fit, {"KERAS_BACKEND": "torch"}),
    "bare": (bare_steps, {}),
}
BARS = {"torch": 1 / 3, "keras-torch": 1 / 4, "keras-tensorflow": 0.67}


def run_child(name: str, data: Path, seed: int, epochs: int, python: str) -> dict[str, Any]:
    """Train one competitor in a process of its own and return what it measured."""
    command = [python, __file__, "--child", name, "--data", str(data)]
    command += ["--seed", str(seed), "--epochs", str(epochs)]
    environment = os.environ | COMPETITORS[name][1]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def child(name: str, data: Path, seed: int, epochs: int) -> None:
    """Train and print the figures as one line of JSON."""
    with np.load(data) as arrays:
        loaded = {key: arrays[key] for key in arrays.files}
    clock, figure = COMPETITORS[name][0](loaded, seed, epochs)
    print(json.dumps({"cpu": clock.cpu, "wall": clock.wall, "figure": figure}))


def measure(names: list[str], seeds: int, epochs: int, tensorflow: str) -> dict[str, Any]:
    """Run every competitor with every seed, in turns."""
    results: dict[str, Any] = {name: {"cpu": [], "wall": [], "figure": []} for name in names}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "images.npz"
        make_data(data)
        for seed in range(seeds):
            for name in names:
                python = tensorflow if name == "keras-tensorflow" else sys.executable
                found = run_child(name, data, seed, epochs, python)
                skip = 0 if name == "bare" else 1
                results[name]["cpu"] += found["cpu"][skip:]
                results[name]["wall"] += found["wall"][skip:]
                results[name]["figure"].append(found["figure"])
                print(f"  seed {seed} {name}: {found['figure']:.4f}", file=sys.stderr, flush=True)
    return results


def show(results: dict[str, Any]) -> None:
    """Print the table and the bars."""
    print(f"{'':18}{'CPU s':>8}{'wall s':>8}   accuracy")
    cpu = {}
    for name, found in results.items():
        cpu[name] = statistics.median(found["cpu"])
        said = f"{np.mean(found['figure']):.3f} (sd {np.std(found['figure']):.3f})"
        said = "" if name == "bare" else said
        print(f"{name:18}{cpu[name]:8.2f}{statistics.median(found['wall']):8.2f}   {said}")
    for name, target in BARS.items():
        if name in cpu and "lepta" in cpu:
            bar(f"cpu_over_{name}", cpu["lepta"] / cpu[name], target)
    if "bare" in results:
        bar("loop_overhead", statistics.median(results["bare"]["figure"]), 0.02)
    if {"lepta", "torch"} <= results.keys():
        ours, theirs = (np.array(results[name]["figure"]) for name in ("lepta", "torch"))
        noise = 2 * np.sqrt((ours.var() + theirs.var()) / max(len(ours) - 1, 1))
        bar("accuracy_lost_beyond_noise", float(theirs.mean() - ours.mean() - noise), 0.0)


def bar(name: str, value: float, target: float) -> None:
    """Print one bar; lower is better."""
    verdict = "pass" if value <= target else "fail"
    print(f"BAR {name} {value:.3f} {target:.3f} {verdict}")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(COMPETITORS), default=list(COMPETITORS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    default = os.environ.get("LEPTA_BENCH_TENSORFLOW", str(PEERS))
    parser.add_argument("--tensorflow", default=default, help="Python that has TensorFlow, Keras")
    parser.add_argument("--child", choices=list(COMPETITORS), help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.data, options.seed, options.epochs)
        return
    names = list(options.only)
    if "keras-tensorflow" in names and not Path(options.tensorflow).is_file():
        print(f"No Python at {options.tensorflow}: `make bench-peers`, or give --tensorflow.")
        names.remove("keras-tensorflow")
    show(measure(names, options.seeds, options.epochs, options.tensorflow))


if __name__ == "__main__":
    main()
