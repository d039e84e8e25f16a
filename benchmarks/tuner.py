"""Lepta's tuner beside plain Optuna, FLAML and Ray Tune: same space, same processor seconds.

Everybody tunes the same torch networks, one trial at a time on one thread: an MLP on scikit-learn's
digits, and the reference CNN on traffic signs (gtsrb32 in the folder that LEPTA_SAMPLES names,
tracks kept apart). The budget is in processor seconds of the trials themselves, so that a busy
machine disturbs nobody; what the tuners need besides is the overhead, measured over trials that do
nothing. Tuners take turns, seed by seed. The bars compare medians of the least validation loss;
a bar holds where Lepta's is no higher, or where the interval of the differences between paired
seeds (bootstrap of the median, 95 %) reaches 0: a tie. The test loss is shown beside.

    make bench-peers                      # once: an environment with FLAML and Ray Tune
    python benchmarks/tuner.py            # all, 10 seeds: two hours of processor time
    python benchmarks/tuner.py --tasks digits --seconds 20 --seeds 3 --only lepta optuna
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv-peers" / "tuner" / "bin" / "python"
SYSTEMS = ("lepta", "optuna", "flaml", "ray", "random")
ELSEWHERE = frozenset({"flaml", "ray"})
"""Systems that run in the peers' environment."""
BARRED = ("optuna", "flaml", "ray")
SECONDS = {"digits": 30.0, "gtsrb32": 90.0}
OVERHEAD_TRIALS, OVERHEAD_MS = 120, 50.0


def run(system: str, task: str, seed: int, limit: str, peers: str) -> dict[str, Any]:
    """Run one tuner in a process of its own."""
    python = peers if system in ELSEWHERE else sys.executable
    command = [python, "-W", "ignore", str(ROOT / "benchmarks" / "tuners.py")]
    done = subprocess.run(
        [*command, system, task, str(seed), limit],
        env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{system} failed on {task}:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def measure(
    systems: list[str], task: str, seeds: range, seconds: float, peers: str
) -> dict[str, list[dict[str, Any]]]:
    """Run every tuner with every seed, in turns."""
    found: dict[str, list[dict[str, Any]]] = {system: [] for system in systems}
    for seed in seeds:
        for system in systems:
            one = run(system, task, seed, str(seconds), peers)
            found[system].append(one)
            print(
                f"  {task} seed {seed} {system}: {one['best']:.5f} (test {one['test']:.5f}, "
                f"{one['trials']} trials, {one['whole']} whole)",
                file=sys.stderr,
                flush=True,
            )
    return found


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a median by the bootstrap."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (4000, len(values))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(low), float(high)


def show(task: str, found: dict[str, list[dict[str, Any]]]) -> None:
    """Print the table and the bars of a task."""
    print(f"{task:10} valid loss  [95 %]                test loss  trials  whole")
    for system, runs in found.items():
        best = np.array([one["best"] for one in runs])
        low, high = interval(best)
        test, trials, whole = (
            statistics.median(one[key] for one in runs) for key in ("test", "trials", "whole")
        )
        print(
            f"{system:10} {np.median(best):.5f}     [{low:.5f}, {high:.5f}]    {test:.5f}    "
            f"{trials:.0f}     {whole:.0f}",
            flush=True,
        )
    if "lepta" not in found:
        return
    ours = np.array([one["best"] for one in found["lepta"]])
    for system in [name for name in BARRED if name in found]:
        theirs = np.array([one["best"] for one in found[system]])
        low, _ = interval(ours - theirs)
        good = np.median(ours) <= np.median(theirs) or low <= 0
        print(
            f"BAR tuner_{task}_{system} {np.median(ours):.5f} {np.median(theirs):.5f} "
            f"{'pass' if good else 'fail'}",
            flush=True,
        )


def show_overhead(systems: list[str], peers: str) -> None:
    """Print what each tuner costs a trial; the bar is Lepta's."""
    for system in systems:
        cost = run(system, "nothing", 0, f"{OVERHEAD_TRIALS}x", peers)["overhead_ms"]
        print(f"{system:10} {cost:8.1f} ms of processor time a trial", flush=True)
        if system == "lepta":
            verdict = "pass" if cost <= OVERHEAD_MS else "fail"
            print(f"BAR tuner_overhead_ms {cost:.1f} {OVERHEAD_MS:.1f} {verdict}", flush=True)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--tasks", nargs="+", choices=list(SECONDS), default=list(SECONDS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--seconds", type=float, help="budget of a run; that of the task by default"
    )
    parser.add_argument("--peers", default=str(PEERS), help="Python with FLAML and Ray Tune")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    options = parser.parse_args()
    systems = list(options.only)
    if ELSEWHERE & {*systems} and not Path(options.peers).is_file():
        print(f"No Python at {options.peers}: `make bench-peers`, or give --peers.")
        systems = [name for name in systems if name not in ELSEWHERE]
    if "gtsrb32" in options.tasks and "LEPTA_SAMPLES" not in os.environ:
        print("gtsrb32 is left out: LEPTA_SAMPLES names no folder of sample data.")
        options.tasks.remove("gtsrb32")
    show_overhead(systems, options.peers)
    figures = {}
    for task in options.tasks:
        seconds = options.seconds or SECONDS[task]
        figures[task] = measure(systems, task, range(options.seeds), seconds, options.peers)
        show(task, figures[task])
    if options.out:
        options.out.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
