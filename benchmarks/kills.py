"""Kill workers and whole jobs at random moments: each run must end with the bits of a quiet one.

python benchmarks/kills.py [--engine local|ray|all] [--kills 50] [--seed 0]
python benchmarks/kills.py --tuning [--kills 30] [--seed 0]     # see study_kills.py

Each run trains a small network with two workers in processes of its own, with a checkpoint every
few steps. A kill is SIGKILL of a random worker or, each fifth, of the launching process, which is
then started again with the same folder. Three in four fall some steps after the kill before, the
others while the workers start. A kill counts as survived when the run ends with the weights and
losses of the undisturbed run, bit for bit, and each epoch saw each row exactly once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME / "tests" / "engine"))

import toy  # noqa: E402

from lepta.core.events import Context  # noqa: E402
from lepta.engine import train  # noqa: E402
from lepta.engine.checkpoints import Checkpoints  # noqa: E402

ROWS, EPOCHS, PAUSE = 250, 16, 0.03
MARK = "LEPTA_KILLS"
LIMIT = 600.0
"""Seconds after which a run counts as hung."""


def work(folder: Path, engine: str) -> None:
    """Train, and print what became of it."""
    job = toy.make(folder, ROWS, epochs=EPOCHS, pause=PAUSE)
    done = train(
        toy.learn,
        job,
        folder=folder / "run",
        workers=2,
        engine=engine,  # type: ignore[arg-type]
        restarts=1000,
        context=Context(seed=3),
    )
    print(json.dumps([done.weights, done.losses]))


def start(folder: Path, engine: str) -> subprocess.Popen[str]:
    """Start a job, marked in its environment and so in that of all its workers."""
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, __file__, "--work", str(folder), "--engine", engine],
        stdout=subprocess.PIPE,
        stderr=(folder / "errors").open("a"),
        text=True,
        env={**os.environ, MARK: str(folder)},
    )


def workers(folder: Path) -> list[int]:
    """Return the living workers of the job in a folder."""
    found = []
    mark = f"{MARK}={folder}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ours = b"lepta.engine.child" in (path / "cmdline").read_bytes()
            if ours and mark in (path / "environ").read_bytes().split(b"\0"):
                found.append(int(path.name))
    return sorted(found)


class Killer:
    """Kills in one run.

    Args:
        folder: of the run.
        engine: where it trains.
        chosen: decides what is killed, and when.
        most: kills, after which the run is left in peace.
    """

    def __init__(self, folder: Path, engine: str, chosen: random.Random, most: int) -> None:
        self.folder, self.engine, self.chosen, self.most = folder, engine, chosen, most
        self.kills = 0
        self._store = Checkpoints(folder / "run")
        self._process = start(folder, engine)

    def run(self) -> str:
        """Kill until the run has ended; return the last line that it printed."""
        until = time.monotonic() + LIMIT
        for _ in self._moments():
            if time.monotonic() > until:
                self._process.kill()
                break
            if self.kills < self.most and (living := workers(self.folder)):
                self._kill(living)
        lines = self._process.communicate()[0].splitlines()
        return lines[-1] if lines else ""

    def _moments(self) -> Iterator[None]:
        """Yield at each moment of a kill, and every two seconds when there are no more."""
        while self._process.poll() is None:
            if self.kills >= self.most or self.chosen.random() < 0.25:
                time.sleep(self.chosen.uniform(0, 2))
            else:
                aim = self._store.latest_step() + self.chosen.randint(1, 12)
                until = time.monotonic() + LIMIT
                while self._store.latest_step() < aim and self._process.poll() is None:
                    if time.monotonic() > until:
                        break
                    time.sleep(0.01)
                time.sleep(self.chosen.uniform(0, 0.1))
            yield

    def _kill(self, living: list[int]) -> None:
        if self._process.poll() is not None:
            return
        if self.kills % 5 == 4:
            self._process.kill()
            self._process.communicate()
            self._process = start(self.folder, self.engine)
        else:
            try:
                os.kill(self.chosen.choice(living), signal.SIGKILL)
            except ProcessLookupError:
                return
        self.kills += 1


def covered(folder: Path) -> bool:
    """Return whether each epoch saw each row exactly once."""
    try:
        toy.check_coverage(toy.make(folder, ROWS, epochs=EPOCHS), ROWS)
    except AssertionError:
        return False
    return True


def bar(home: Path, engine: str, wanted: int, seed: int) -> bool:
    """Kill so often, in as many runs as that takes; print the table and the bar."""
    quiet = start(home / "quiet", "local").communicate()[0].splitlines()[-1]
    chosen, kills, survived, run = random.Random(seed), 0, 0, 0
    print(f"{engine:>6}  kills  same bits  each row once  seconds", flush=True)
    while kills < wanted:
        folder, began = home / engine / str(run), time.monotonic()
        killer = Killer(folder, engine, chosen, wanted - kills)
        same, whole = killer.run() == quiet, covered(folder)
        seconds = time.monotonic() - began
        print(
            f"{run:>6}  {killer.kills:>5}  {same!s:>9}  {whole!s:>13}  {seconds:>7.1f}", flush=True
        )
        if not same:
            print((folder / "errors").read_text()[-2000:], file=sys.stderr)
        kills, run = kills + killer.kills, run + 1
        survived += killer.kills * (same and whole)
    good = survived == wanted
    print(f"BAR kills_{engine} {survived} {wanted} {'pass' if good else 'fail'}", flush=True)
    return good


def main() -> int:
    """Return 0 when every kill was survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--engine", default="local", choices=["local", "ray", "all"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tuning", action="store_true", help="kill studies of lepta.tune")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tuning:
        from study_kills import study_bar

        with tempfile.TemporaryDirectory() as home:
            return 0 if study_bar(Path(home), options.kills, options.seed) else 1
    if options.work:
        work(options.work, options.engine)
        return 0
    engines = ["local", "ray"] if options.engine == "all" else [options.engine]
    with tempfile.TemporaryDirectory() as home:
        good = [bar(Path(home) / one, one, options.kills, options.seed) for one in engines]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
