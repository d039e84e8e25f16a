"""One run of one tuner, by ``benchmarks/tuner.py`` in a process of its own.

    python benchmarks/tuners.py SYSTEM TASK SEED LIMIT

LIMIT is in processor seconds of the trials themselves ("40"), or a number of trials ("120x"). All
tuners call the same objective one trial at a time, with one thread, and nobody is given a place to
start. The result is one line of JSON.
"""

from __future__ import annotations

import functools
import json
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EPOCHS = {"digits": 27, "gtsrb32": 9, "nothing": 27}
Report = Callable[[int, float], bool]
"""Takes an epoch and its validation loss; returns whether to stop."""


@dataclass(frozen=True)
class Number:
    """Numbers from low to high; whole where both ends are."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int)


TRAINING = {
    "rate": Number(1e-4, 1e-1, log=True),
    "decay": Number(1e-6, 1e-1, log=True),
    "dropout": Number(0.0, 0.6),
    "batch": Number(16, 256, log=True),
}
SPACES: dict[str, dict[str, Number]] = {
    "digits": {**TRAINING, "width": Number(16, 512, log=True), "depth": Number(1, 4)},
    "gtsrb32": {**TRAINING, "width": Number(8, 32, log=True), "dense": Number(16, 128, log=True)},
    "nothing": {f"x{number}": Number(0.0, 1.0) for number in range(6)},
}


@functools.cache
def data_of(task: str) -> dict[str, Any]:
    """Return tensors: x, y to learn from, vx, vy to judge by, tx, ty to measure on."""
    import numpy as np
    import torch

    if task == "digits":
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(y))
        x, y = (x[order] / 16.0).astype(np.float32), y[order].astype(np.int64)
        parts = {"": slice(900), "v": slice(900, 1350), "t": slice(1350, None)}
        rows = {name: (x[part], y[part]) for name, part in parts.items()}
    else:
        file = Path(os.environ["LEPTA_SAMPLES"]) / "gtsrb32" / "gtsrb32.npz"
        with np.load(file) as loaded:
            x, y = loaded["X_train"], loaded["y_train"].astype(np.int64)
            track, tx, ty = loaded["track"], loaded["X_test"], loaded["y_test"].astype(np.int64)
        held = np.isin(track, np.random.default_rng(0).permutation(np.unique(track))[::4])
        rows = {"": (x[~held], y[~held]), "v": (x[held], y[held]), "t": (tx, ty)}
        rows = {n: (_channels_first(x), y) for n, (x, y) in rows.items()}
    return {
        f"{n}{k}": torch.from_numpy(a)
        for n, p in rows.items()
        for k, a in zip("xy", p, strict=True)
    }


def _channels_first(x: Any) -> Any:
    return (x.transpose(0, 3, 1, 2) / 255.0).astype("float32")


def network_of(task: str, config: dict[str, Any], classes: int) -> Any:
    """Return an untrained network."""
    from torch import nn

    width, drop = config["width"], config["dropout"]
    if task == "digits":
        layers, before = [], 64
        for _ in range(config["depth"]):
            layers += [nn.Linear(before, width), nn.ReLU(), nn.Dropout(drop)]
            before = width
        return nn.Sequential(*layers, nn.Linear(before, classes))
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(drop), nn.Linear(2 * width * 36, config["dense"]), nn.ReLU(),
        nn.Linear(config["dense"], classes),
    )  # fmt: skip


class Training:
    """One trial, an epoch at a time."""

    def __init__(self, task: str, config: dict[str, Any], seed: int) -> None:
        self.task, self.config, self.epoch = task, config, 0
        if task == "nothing":
            return
        import torch

        torch.manual_seed(seed)
        self.data = data_of(task)
        self.network = network_of(task, config, int(self.data["y"].max()) + 1)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config["rate"], weight_decay=config["decay"]
        )

    def step(self) -> float:
        """Train for an epoch; return the loss on the rows to judge by."""
        self.epoch += 1
        if self.task == "nothing":
            return sum((value - 0.3) ** 2 for value in self.config.values()) + 1 / self.epoch
        import torch
        from torch.nn.functional import cross_entropy

        self.network.train()
        rate = (
            self.config["rate"]
            * 0.5
            * (1 + math.cos(math.pi * (self.epoch - 1) / EPOCHS[self.task]))
        )
        self.optimiser.param_groups[0]["lr"] = rate
        for rows in torch.randperm(len(self.data["x"])).split(self.config["batch"]):
            self.optimiser.zero_grad()
            cross_entropy(self.network(self.data["x"][rows]), self.data["y"][rows]).backward()
            self.optimiser.step()
        return self.loss("v")

    def loss(self, part: str) -> float:
        """Return the loss on rows to judge by ("v") or to measure on ("t")."""
        if self.task == "nothing":
            return 0.0
        import torch
        from torch.nn.functional import cross_entropy

        self.network.eval()
        with torch.no_grad():
            found = [
                cross_entropy(self.network(x), y, reduction="sum").item()
                for x, y in zip(
                    self.data[f"{part}x"].split(500), self.data[f"{part}y"].split(500), strict=True
                )
            ]
        loss = sum(found) / len(self.data[f"{part}y"])
        return loss if math.isfinite(loss) else 1e9


def learn(task: str, config: dict[str, Any], seed: int, report: Report) -> dict[str, float]:
    """Train to the end, or until told to stop; return losses and the processor time."""
    began = time.process_time()
    training = Training(task, config, seed)
    spent, loss = time.process_time() - began, math.inf
    for epoch in range(1, EPOCHS[task] + 1):
        began = time.process_time()
        loss = training.step()
        spent += time.process_time() - began
        if report(epoch, loss):
            return {"loss": loss, "cpu": spent, "whole": 0.0}
    return {"loss": loss, "test": training.loss("t"), "cpu": spent, "whole": 1.0}


def never(epoch: int, loss: float) -> bool:
    """Go on."""
    return False


def tree_cpu(pid: int) -> float:
    """Return the processor seconds of a process, its living descendants and its dead children."""
    stats: dict[int, tuple[int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        stats[int(path.parent.name)] = (int(fields[1]), own)
    ours, found = {pid}, True
    while found:
        found = {p for p, (parent, _) in stats.items() if parent in ours and p not in ours}  # type: ignore[assignment]
        ours |= found  # type: ignore[operator]
    return sum(stats[p][1] for p in ours if p in stats)


@dataclass
class Tally:
    """What a run has come to.

    Attributes:
        seconds, count: the limits; one of them is infinite.
        best: least loss of a trial that ran to its end; ``test`` is that model's.
        spent: processor seconds of trials.
    """

    seconds: float
    count: float
    best: float = math.inf
    test: float = math.nan
    spent: float = 0.0
    trials: int = 0
    whole: int = 0
    curve: list[tuple[float, float]] = field(default_factory=list)
    _from: tuple[int, float, float] | None = None
    _to: tuple[int, float, float] | None = None

    @classmethod
    def of(cls, limit: str) -> Tally:
        """Read a limit."""
        if limit.endswith("x"):
            return cls(math.inf, float(limit[:-1]))
        return cls(float(limit), math.inf)

    @property
    def over(self) -> bool:
        """Whether to stop."""
        return self.spent >= self.seconds or self.trials >= self.count

    def add(self, result: dict[str, float]) -> None:
        """Count a trial; what ends after the limit does not count for the best."""
        self.spent += result["cpu"]
        self.trials += 1
        if self.count < math.inf and self.trials in (20, int(self.count)):
            now = (self.trials, tree_cpu(os.getpid()), self.spent)
            self._from, self._to = (now, None) if self.trials == 20 else (self._from, now)
        if result["whole"] and self.spent <= self.seconds:
            self.whole += 1
            if result["loss"] < self.best:
                self.best, self.test = result["loss"], result["test"]
        self.curve.append((round(self.spent, 2), self.best))

    def summary(self) -> dict[str, Any]:
        """Return what is printed."""
        out: dict[str, Any] = {"best": self.best, "test": self.test, "trials": self.trials}
        out |= {"whole": self.whole, "spent": self.spent, "curve": self.curve}
        if self._from and self._to:
            trials, cpu, spent = (b - a for a, b in zip(self._from, self._to, strict=True))
            out["overhead_ms"] = 1000 * (cpu - spent) / trials
        return out


# Each system: (task, seed, tally) -> None


def _nothing_to_set_up(task: str) -> str:
    import torch

    torch.set_num_threads(1)
    if task != "nothing":
        data_of(task)
    return task


def _lepta_trial(task: str, line: Any, config: dict[str, Any], seed: int) -> dict[str, float]:
    def report(epoch: int, loss: float) -> bool:
        from lepta.tuning.sampling import is_rung

        return is_rung(epoch) and bool(line.ask((epoch, loss)))

    return learn(task, config, seed, report)


def lepta(task: str, seed: int, tally: Tally) -> None:
    """Lepta's study, its journal and its workers."""
    from lepta.core.space import Range
    from lepta.engine import Line, open_trials
    from lepta.tuning.study import Study

    space = {n: Range(s.low, s.high, log=s.log) for n, s in SPACES[task].items()}
    with (
        tempfile.TemporaryDirectory() as folder,
        Study(space, {}, seed=seed, folder=Path(folder)) as study,
        open_trials(
            _nothing_to_set_up, (task,), workers=1, answer=lambda key, q: study.report(key, *q)
        ) as trials,
    ):
        while not tally.over:
            record = study.ask()
            trials.submit(record.number, _lepta_trial, Line(), record.params, seed)
            (one,) = trials.wait()
            if one.error is not None:
                raise one.error
            if one.value["whole"]:
                study.end(record.number, one.value["loss"])
            else:
                study.give_up(record.number)
            tally.add(one.value)


def optuna(task: str, seed: int, tally: Tally, *, random: bool = False) -> None:
    """Plain Optuna: TPE, Hyperband, a journal file, ``optimize``."""
    import optuna as library
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    library.logging.set_verbosity(library.logging.ERROR)

    def objective(trial: Any) -> float:
        config = {}
        for name, s in SPACES[task].items():
            suggest = trial.suggest_int if s.whole else trial.suggest_float
            config[name] = suggest(name, s.low, s.high, log=s.log)

        def report(epoch: int, loss: float) -> bool:
            if random:
                return False
            trial.report(loss, epoch)
            return bool(trial.should_prune())

        found = learn(task, config, seed, report)
        tally.add(found)
        if tally.over:
            trial.study.stop()
        if not found["whole"]:
            raise library.TrialPruned
        return found["loss"]

    samplers = library.samplers
    with tempfile.TemporaryDirectory() as folder:
        study = library.create_study(
            storage=JournalStorage(JournalFileBackend(f"{folder}/journal")),
            sampler=samplers.RandomSampler(seed) if random else samplers.TPESampler(seed=seed),
            pruner=library.pruners.HyperbandPruner(1, EPOCHS[task], 3),
        )
        study.optimize(objective)


def random(task: str, seed: int, tally: Tally) -> None:
    """Random search to the last epoch."""
    optuna(task, seed, tally, random=True)


def flaml(task: str, seed: int, tally: Tally) -> None:
    """FLAML's CFO, asked for one configuration after the other."""
    import numpy as np
    from flaml import CFO, tune

    np.random.seed(seed)
    space = {}
    for name, s in SPACES[task].items():
        kinds = {
            (False, False): tune.uniform, (False, True): tune.loguniform,
            (True, False): tune.randint, (True, True): tune.lograndint,
        }  # fmt: skip
        space[name] = kinds[s.whole, s.log](s.low, s.high + 1 if s.whole else s.high)
    searcher = CFO(metric="loss", mode="min", space=space, seed=seed)
    number = 0
    while not tally.over:
        number += 1
        config = searcher.suggest(str(number))
        if config is None:
            continue
        found = learn(task, config, seed, never)
        searcher.on_trial_complete(str(number), {"loss": found["loss"], "config": config})
        tally.add(found)


def ray(task: str, seed: int, tally: Tally) -> None:
    """Ray Tune: random search, ASHA, actors reused."""
    from ray_tuner import run

    run(task, seed, tally)


SYSTEMS: dict[str, Callable[[str, int, Tally], None]] = {
    "lepta": lepta, "optuna": optuna, "flaml": flaml, "ray": ray, "random": random,
}  # fmt: skip


def main() -> int:
    """Run, and print the result."""
    system, task, seed, limit = sys.argv[1:]
    warnings.simplefilter("ignore")
    os.environ["OMP_NUM_THREADS"] = "1"
    if system != "lepta":
        _nothing_to_set_up(task)
    tally = Tally.of(limit)
    SYSTEMS[system](task, int(seed), tally)
    print(json.dumps(tally.summary()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
