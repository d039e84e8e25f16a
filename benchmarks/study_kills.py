"""Kill studies of ``lepta.tune`` at random moments; called by ``benchmarks/kills.py --tuning``.

Each study tunes a small network on scikit-learn's breast cancer table with one worker and a folder.
A kill is SIGKILL of the process, a random time after a random line of its journal; it is then
started again with the same folder. A kill counts as survived when the study ends with the trials of
the undisturbed one (parameters, losses, curves, and so the best score), each of which ended once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

TRIALS = 8
LIMIT = 300.0
"""Seconds after which a life counts as hung."""
_STATES = 6
"""Optuna's code for a trial that changes its state."""


def work(folder: Path) -> None:
    """Tune, and print the trials."""
    from sklearn.datasets import load_breast_cancer

    import lepta

    data = lepta.Dataset.read(load_breast_cancer(as_frame=True).frame, target="target")
    bundle = lepta.tune(
        data,
        learner="mlp",
        space={"loop.learning_rate": "0.0003..0.1 log", "loop.batch": "16|32|64"},
        settings={"loop.epochs": 9},
        device="cpu:fp32",
        audit=False,
        trials=TRIALS,
        workers=1,
        folder=folder,
    )
    keys = ("number", "state", "loss", "params", "curve")
    trials = json.loads(bundle.read("tuning.json"))["trials"]
    print(json.dumps([[trial[key] for key in keys] for trial in trials]))


def start(folder: Path) -> subprocess.Popen[str]:
    """Start, or go on."""
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, __file__, str(folder)],
        stdout=subprocess.PIPE,
        stderr=(folder / "errors").open("a"),
        text=True,
    )


def lines(folder: Path) -> int:
    """Return how long the journal is."""
    journal = folder / "journal.log"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def killed_run(folder: Path, chosen: random.Random, most: int) -> tuple[str, int]:
    """Kill until the study has ended; return what it printed, and the kills."""
    kills, process = 0, start(folder)
    while kills < most:
        aim = lines(folder) + chosen.choice([0, *range(1, 30)])
        until = time.monotonic() + LIMIT
        while lines(folder) < aim and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(chosen.uniform(0, 0.3))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        process = start(folder)
    out = process.communicate(timeout=LIMIT)[0].splitlines()
    return (out[-1] if out else ""), kills


def told_once(folder: Path) -> bool:
    """Return whether each trial has ended exactly once."""
    ends: Counter[int] = Counter()
    for line in (folder / "journal.log").read_text().splitlines():
        entry: dict[str, Any] = json.loads(line)
        if entry["op_code"] == _STATES and entry["state"] in (1, 2, 3):
            ends[entry["trial_id"]] += 1
    return len(ends) == TRIALS and set(ends.values()) == {1}


def study_bar(home: Path, wanted: int, seed: int) -> bool:
    """Kill so often, in as many studies as that takes; print the table and the bar."""
    quiet = start(home / "quiet").communicate()[0].splitlines()[-1]
    best = min(one[2] for one in json.loads(quiet) if one[1] == "ended")
    print(f"undisturbed: best loss {best:.6f} of {TRIALS} trials", flush=True)
    chosen, kills, survived, number = random.Random(seed), 0, 0, 0
    print(f"{'study':>6}  kills  same trials  each once  seconds", flush=True)
    while kills < wanted:
        folder, began = home / str(number), time.monotonic()
        out, fallen = killed_run(folder, chosen, min(10, wanted - kills))
        same, once = out == quiet, told_once(folder)
        seconds = time.monotonic() - began
        print(f"{number:>6}  {fallen:>5}  {same!s:>11}  {once!s:>9}  {seconds:>7.1f}", flush=True)
        if not same:
            print((folder / "errors").read_text()[-2000:], file=sys.stderr)
        kills, number, survived = kills + fallen, number + 1, survived + fallen * (same and once)
    good = survived == wanted
    print(f"BAR kills_tuning {survived} {wanted} {'pass' if good else 'fail'}", flush=True)
    return good


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    work(Path(sys.argv[1]))
