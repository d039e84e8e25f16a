"""Search of architectures: plain multi-fidelity beside zero-cost proxies and shared weights.

All 24 architectures of a small space (width, kernel, blocks, residual or plain, as the options of
the learner ``resnet`` have them) are trained on a third of the training rows of gtsrb32; another
third is to choose by, the last to judge by, tracks kept whole; no official test row is touched. The
losses after every epoch, what an epoch costs, and what each proxy says are kept in a file. Then
each way to search is replayed on that table many times, in any budget of CPU seconds:

    full       architectures in random order, each trained to the end
    halving    many for one epoch, the better half for two, and so on (Jamieson & Talwalkar 2016)
    PROXY      halving among those that the proxy says are best, its cost included
    shared     halving among those that do best with weights cut from one network that was trained
               on random architectures (Cai et al. 2020), its cost included

    LEPTA_SAMPLES=path/to/data python benchmarks/architectures.py      # a quarter of an hour
    LEPTA_SAMPLES=path/to/data python benchmarks/architectures.py --seconds 120   # a part of it

Proxies: synflow (Tanaka et al. 2020), naswot (Mellor et al. 2021), gradnorm (Abdelfattah et al.
2021), and the number of weights. A run goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lepta.core.events import Context, StageAdvanced
from lepta.engine import tune_process
from lepta.models.networks import Network
from lepta.models.networks.encoders import encoder_for
from lepta.tasks import Multiclass
from lepta.training.loop import LoopOptions, Rows, predict_network, train_network
from lepta.training.neural import ResNet

RESULTS = Path(__file__).resolve().parent / ".results" / "architectures.json"
EPOCHS = 8
RUNGS = (1, 2, 4, 8)
CLASSES = 43
SPACE: dict[str, tuple[Any, ...]] = {
    "width": (0.5, 0.7, 1.0),
    "kernel": (3, 5),
    "blocks": (1, 2),
    "block": ("basic", "plain"),
}
ALL = [dict(zip(SPACE, values, strict=True)) for values in itertools.product(*SPACE.values())]
WIDTHS = (24, 48, 96)
BUDGETS = (20.0, 40.0, 80.0)
REPLAYS = 2000

Parts = dict[str, Rows]


def read(folder: Path) -> Parts:
    """Return the rows to learn from, to choose by and to judge by, tracks whole."""
    with np.load(folder / "gtsrb32" / "gtsrb32.npz") as held:
        images, labels, tracks = held["X_train"], held["y_train"], held["track"]
    names, codes = np.unique(tracks, return_inverse=True)
    third = np.random.default_rng(0).permutation(len(names))[codes] % 3
    arrays = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
    rows = {"learn": third == 0, "choose": third == 1, "judge": third == 2}
    return {
        name: Rows([arrays[here]], labels[here].astype(np.int64)) for name, here in rows.items()
    }


def built(options: dict[str, Any]) -> Network:
    """Return the untrained network of an architecture."""
    torch.manual_seed(0)
    given = ResNet(pool=True, **options).architecture()["image"]
    encoder = encoder_for("resnet", (-1, 3, 32, 32), **given)
    return Network([encoder], encoder.features, CLASSES)


def trained(options: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """Train an architecture; return its losses by epoch, its cost, and how good it became."""
    losses: list[float] = []

    def report(event: Any) -> None:
        if isinstance(event, StageAdvanced) and "valid_loss" in event.values:
            losses.append(event.values["valid_loss"])

    task = Multiclass(target="sign", classes=tuple(map(str, range(CLASSES))))
    loop = LoopOptions(epochs=EPOCHS, patience=EPOCHS, schedule="cosine", device="cpu:fp32")
    network, cpu = built(options), time.process_time()
    context = Context(threads=1, report=report)
    train_network(network, parts["learn"], parts["choose"], task, loop, context)
    cpu = time.process_time() - cpu
    judge = parts["judge"]
    raw = predict_network(network, ["image"], {"image": judge.arrays[0]})
    return {
        "losses": losses,
        "cpu": cpu / EPOCHS,
        "loss": float(functional.cross_entropy(torch.from_numpy(raw), torch.from_numpy(judge.y))),
        "accuracy": float(np.mean(raw.argmax(1) == judge.y)),
    }


def synflow(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the flow through all weights made positive, more is better (arXiv:2006.05467)."""
    network.eval()
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.abs_()
    network(torch.ones_like(images[:1])).sum().backward()
    flows = [(p * p.grad).abs().sum() for p in network.parameters() if p.grad is not None]
    return float(torch.stack(flows).detach().double().sum().log())


def naswot(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return how differently units fire on images, more is better (arXiv:2006.04647)."""
    codes: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, nn.ReLU) or type(module).__name__ == "_Block":
            module.register_forward_hook(lambda _m, _i, out: codes.append((out > 0).flatten(1)))
    with torch.no_grad():
        network.train()(images)
    fired = torch.cat(codes, 1).float()
    alike = fired @ fired.T + (1 - fired) @ (1 - fired).T
    return float(torch.linalg.slogdet(alike.double())[1])


def gradnorm(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the size of the first gradient, more is better (arXiv:2101.08134)."""
    functional.cross_entropy(network.train()(images), labels).backward()
    return float(sum(float(p.grad.norm()) for p in network.parameters() if p.grad is not None))


def weights(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the number of weights."""
    return float(sum(parameter.numel() for parameter in network.parameters()))


PROXIES: dict[str, Callable[[nn.Module, Tensor, Tensor], float]] = {
    "synflow": synflow,
    "naswot": naswot,
    "gradnorm": gradnorm,
    "weights": weights,
}


class Shared(nn.Module):
    """One network that holds all architectures.

    Of each layer the first channels are used, of each kernel the middle, of each stage the first
    blocks. Batches are normalised by themselves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ParameterDict()
        self._add("stem", 3, WIDTHS[0], 3)
        before = WIDTHS[0]
        for stage, after in enumerate(WIDTHS):
            for block in range(max(SPACE["blocks"])):
                self._add(f"{stage}{block}a", after if block else before, after, 5)
                self._add(f"{stage}{block}b", after, after, 5)
                self._add(f"{stage}{block}s", after if block else before, after, 1)
            before = after
        self.head = nn.Linear(2 * WIDTHS[-1], CLASSES)

    def _add(self, name: str, before: int, after: int, kernel: int) -> None:
        weight = torch.empty(after, before, kernel, kernel)
        nn.init.kaiming_normal_(weight)
        self.layers[name] = nn.Parameter(weight)
        self.layers[f"{name}_scale"] = nn.Parameter(torch.ones(after))
        self.layers[f"{name}_shift"] = nn.Parameter(torch.zeros(after))

    def _layer(self, name: str, values: Tensor, after: int, kernel: int, stride: int = 1) -> Tensor:
        weight = self.layers[name]
        rim = (weight.shape[2] - kernel) // 2
        weight = weight[:after, : values.shape[1], rim : rim + kernel, rim : rim + kernel]
        values = functional.conv2d(values, weight, None, stride, kernel // 2)
        scale, shift = self.layers[f"{name}_scale"][:after], self.layers[f"{name}_shift"][:after]
        return functional.batch_norm(values, None, None, scale, shift, training=True)

    def forward(self, images: Tensor, options: dict[str, Any]) -> Tensor:
        """Return logits by one architecture."""
        widths = [max(1, round(width * options["width"])) for width in WIDTHS]
        values = functional.relu(self._layer("stem", images - 0.5, widths[0], 3))
        values = functional.max_pool2d(values, 3, 2, 1)
        for stage, after in enumerate(widths):
            for block in range(options["blocks"]):
                stride = 2 if stage and not block else 1
                name, kernel = f"{stage}{block}", options["kernel"]
                inner = functional.relu(self._layer(f"{name}a", values, after, kernel, stride))
                inner = self._layer(f"{name}b", inner, after, kernel)
                if options["block"] == "basic":
                    whole = stride == 1 and values.shape[1] == after
                    inner = inner + (
                        values if whole else self._layer(f"{name}s", values, after, 1, stride)
                    )
                values = functional.relu(inner)
        pooled = (values.mean((2, 3)), values.amax((2, 3)))
        full, last = WIDTHS[-1], widths[-1]
        sides = [self.head.weight[:, :last], self.head.weight[:, full : full + last]]
        parts = [functional.linear(x, w) for x, w in zip(pooled, sides, strict=True)]
        return parts[0] + parts[1] + self.head.bias


def shared_losses(parts: Parts) -> dict[str, Any]:
    """Train the shared network, a random architecture a step; return each one's loss, and costs."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rng, cpu = np.random.default_rng(0), time.process_time()
    network, learn = Shared(), parts["learn"]
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.02)
    for epoch in range(EPOCHS):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (0.5 + 0.5 * np.cos(np.pi * epoch / EPOCHS))
        for rows in np.array_split(rng.permutation(len(learn)), len(learn) // 32):
            images, labels = torch.from_numpy(learn.arrays[0][rows]), learn.y[rows]
            logits = network(images, ALL[rng.integers(len(ALL))])
            optimiser.zero_grad()
            functional.cross_entropy(logits, torch.from_numpy(labels)).backward()
            optimiser.step()
    choose = parts["choose"]
    images, labels = torch.from_numpy(choose.arrays[0]), torch.from_numpy(choose.y)
    with torch.no_grad():
        found = [functional.cross_entropy(network(images, options), labels) for options in ALL]
    losses = [float(loss) for loss in found]
    return {"scores": [-loss for loss in losses], "cpu": time.process_time() - cpu}


def proxied(parts: Parts, proxy: Callable[..., float]) -> dict[str, Any]:
    """Return what a proxy says of every architecture, and what that cost."""
    rng, cpu = np.random.default_rng(0), time.process_time()
    rows = rng.permutation(len(parts["learn"]))[:64]
    images = torch.from_numpy(parts["learn"].arrays[0][rows])
    labels = torch.from_numpy(parts["learn"].y[rows])
    scores = [proxy(built(options), images, labels) for options in ALL]
    return {"scores": scores, "cpu": time.process_time() - cpu}


def fill(known: dict[str, Any], parts: Parts, seconds: float) -> bool:
    """Measure what is not known yet, for some seconds; return whether all is known."""
    end = time.monotonic() + seconds
    makers: dict[str, Callable[[], Any]] = {"shared": lambda: shared_losses(parts)}
    for name, proxy in PROXIES.items():
        makers[name] = lambda proxy=proxy: proxied(parts, proxy)
    order = np.random.default_rng(1).permutation(len(ALL))
    for number in order:
        makers[str(number)] = lambda number=number: trained(ALL[number], parts)
    for name, make in makers.items():
        if name in known:
            continue
        if time.monotonic() > end:
            return False
        known[name] = make()
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(known))
        print(name, {k: v for k, v in known[name].items() if k != "scores"}, flush=True)
    return True


class Table:
    """What was measured of all architectures."""

    def __init__(self, known: dict[str, Any]) -> None:
        rows = [known[str(number)] for number in range(len(ALL))]
        self.curves = np.array([row["losses"] for row in rows])
        self.costs = np.array([row["cpu"] for row in rows])
        self.judged = np.array([row["loss"] for row in rows])
        self.accuracy = np.array([row["accuracy"] for row in rows])
        self.guides = {name: known[name] for name in (*PROXIES, "shared")}

    def full(self, order: NDArray[np.int64], budget: float) -> int | None:
        """Train to the end one after the other; return the best."""
        spent = np.cumsum(self.costs[order]) * EPOCHS
        seen = order[spent <= budget]
        return int(seen[self.curves[seen, -1].argmin()]) if len(seen) else None

    def halving(self, order: NDArray[np.int64], budget: float) -> int | None:
        """Begin with as many as the budget has room for; return the one that is left."""
        for count in range(len(order), 0, -1):
            alive, spent, before = order[:count], 0.0, 0
            for rung in RUNGS:
                spent += float(self.costs[alive].sum()) * (rung - before)
                before = rung
                ranked = alive[self.curves[alive, rung - 1].argsort()]
                alive = ranked if rung == EPOCHS else ranked[: -(-len(ranked) // 2)]
            if spent <= budget:
                return int(alive[0])
        return None

    def guided(self, name: str, order: NDArray[np.int64], budget: float) -> int | None:
        """Search by halving among the best third as a guide sees them."""
        scores = np.array(self.guides[name]["scores"])
        best = order[(-scores[order]).argsort()][: len(order) // 3]
        return self.halving(best, budget - self.guides[name]["cpu"])


def replay(table: Table) -> None:
    """Print how far each way to search stays behind the best architecture."""
    from scipy.stats import spearmanr

    print(f"\nbest: {ALL[int(table.judged.argmin())]}, loss {table.judged.min():.4f}, accuracy "
          f"{table.accuracy.max():.4f}; mean loss {table.judged.mean():.4f}; all trained to the "
          f"end: {table.costs.sum() * EPOCHS:.0f} CPU s")  # fmt: skip
    for name, guide in table.guides.items():
        rank = spearmanr(guide["scores"], -table.judged).statistic
        print(
            f"{name:9} rank correlation with the judged loss {rank:+.2f}, {guide['cpu']:.1f} CPU s"
        )
    for rung in RUNGS:
        rank = spearmanr(table.curves[:, rung - 1], table.judged).statistic
        print(f"{rung} epochs  rank correlation with the judged loss {rank:+.2f}")
    ways: dict[str, Callable[..., int | None]] = {"full": table.full, "halving": table.halving}
    for name in table.guides:
        ways[name] = lambda order, budget, name=name: table.guided(name, order, budget)
    print(
        f"\nmean loss above the best, by CPU seconds\n{'':9}"
        + "".join(f"{b:9.0f}" for b in BUDGETS)
    )
    for name, way in ways.items():
        cells = ""
        for budget in BUDGETS:
            rng, regrets = np.random.default_rng(0), []
            for _ in range(REPLAYS):
                found = way(rng.permutation(len(ALL)), budget)
                regrets.append(np.nan if found is None else table.judged[found])
            regret = np.mean(regrets) - table.judged.min()
            cells += f"{regret:9.4f}" if np.isfinite(regret) else f"{'too dear':>9}"
        print(f"{name:9}{cells}")


def main() -> int:
    """Measure what is missing, and replay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=float("inf"), help="then stop measuring")
    options = parser.parse_args()
    if "LEPTA_SAMPLES" not in os.environ:
        parser.error("name the folder of real data with LEPTA_SAMPLES")
    tune_process()
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if not fill(known, read(Path(os.environ["LEPTA_SAMPLES"])), options.seconds):
        print("There is more to measure: run it again.")
        return 1
    replay(Table(known))
    return 0


if __name__ == "__main__":
    sys.exit(main())
