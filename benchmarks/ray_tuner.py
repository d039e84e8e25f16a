"""Ray Tune with ASHA and reused actors, as ``benchmarks/tuners.py`` runs it."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

from ray import init, tune
from ray.tune import Stopper
from ray.tune.schedulers import ASHAScheduler
from tuners import EPOCHS, SPACES, Tally, Training, data_of

HOURS = 24 * 3600


class Trial(tune.Trainable):
    """One trial; the actor is reused for the next."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin."""
        import torch

        torch.set_num_threads(1)
        if config["task"] != "nothing":
            data_of(config["task"])
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin anew with another configuration."""
        config = {k: v for k, v in new_config.items() if k not in ("task", "seed")}
        began = time.process_time()
        self.training = Training(new_config["task"], config, new_config["seed"])
        self.spent = time.process_time() - began
        return True

    def step(self) -> dict[str, Any]:
        """Train for an epoch."""
        began = time.process_time()
        loss = self.training.step()
        self.spent += time.process_time() - began
        whole = self.training.epoch >= EPOCHS[self.training.task]
        test = self.training.loss("t") if whole else 0.0
        return {"loss": loss, "cpu": self.spent, "test": test, "whole": float(whole), "done": whole}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Keep nothing: no trial is paused."""


class Counting(Stopper):
    """Counts trials as they end, and stops the run at the limit."""

    def __init__(self, tally: Tally) -> None:
        self.tally, self.last = tally, {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Note a result."""
        if self.last and self.last["trial"] != trial_id:
            self.tally.add(self.last)
            self.last = {}
        keys = ("loss", "cpu", "test", "whole")
        self.last = {"trial": trial_id, **{key: result[key] for key in keys}}
        return False

    def stop_all(self) -> bool:
        """Whether the limit is reached."""
        running = self.last.get("cpu", 0.0)
        return self.tally.over or self.tally.spent + running >= self.tally.seconds


def run(task: str, seed: int, tally: Tally) -> None:
    """Search one trial at a time."""
    kinds = {
        (False, False): tune.uniform, (False, True): tune.loguniform,
        (True, False): tune.randint, (True, True): tune.lograndint,
    }  # fmt: skip
    space: dict[str, Any] = {"task": task, "seed": seed}
    for name, s in SPACES[task].items():
        space[name] = kinds[s.whole, s.log](s.low, s.high + 1 if s.whole else s.high)
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    init(
        num_cpus=1,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": here, "OMP_NUM_THREADS": "1"}},
    )
    counting = Counting(tally)
    with tempfile.TemporaryDirectory() as folder:
        tune.Tuner(
            tune.with_resources(Trial, {"cpu": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                scheduler=ASHAScheduler(max_t=EPOCHS[task], grace_period=1, reduction_factor=3),
                num_samples=100_000,
                max_concurrent_trials=1,
                reuse_actors=True,
                search_alg=tune.search.BasicVariantGenerator(random_state=seed),
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, stop=counting),
        ).fit()
    if counting.last and counting.last["whole"] and not tally.over:
        tally.add(counting.last)
