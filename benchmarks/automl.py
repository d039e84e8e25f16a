"""Automatic learning on public tables: Lepta beside its peers, in the same time on the same cores.

Every system is given the same training file, the same wall-clock budget and the same cores, each
run in fresh processes of its own environment; then it predicts the same test file. What is learned
is kept in a folder, one JSON file a run, so that an interrupted benchmark goes on where it stopped,
and the report can be made again at any time.

    make bench-tables bench-peers           # once: the tables and the environments
    python benchmarks/automl.py --tables magic ames --budgets 60
    python benchmarks/automl.py             # all: 27 tables x 7 systems x (60 + 300) s, a day
    python benchmarks/automl.py --report-only > automl.md

Run it on a machine that is otherwise quiet. Runs of one table and budget follow one another, so
that a busy hour disturbs the systems alike. A run that fails is kept as such, with its last words,
and counts as the last in rank; ``--retry`` runs those again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from automl_report import report
from processes import Watch
from tables import CACHE, MAIN, TABLES, Split, read_split

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / ".results" / "automl"
HOMES = {
    "lepta": None,
    "autogluon-medium": "autogluon",
    "autogluon-best": "autogluon",
    "flaml": "flaml",
    "lightautoml": "lightautoml",
    "mljar": "mljar",
    "lightgbm": None,
}
"""Each system and the environment that it lives in; those without live in ours."""


@dataclass(frozen=True)
class Run:
    """One cell of the benchmark."""

    table: str
    system: str
    version: str
    budget: int
    seed: int

    @property
    def stem(self) -> str:
        """Name of its files."""
        return f"{self.table}--{self.system}--{self.version}--{self.budget}--{self.seed}"


class Environments:
    """Where systems live, and in which version they are there."""

    def __init__(self, peers: Path) -> None:
        self.peers = peers

    def python(self, system: str) -> Path:
        """Return the interpreter of a system."""
        home = HOMES[system]
        return Path(sys.executable) if home is None else self.peers / home / "bin" / "python"

    def version(self, system: str) -> str | None:
        """Return the version of a system; nothing where it is not there.

        For Lepta the commit of ``src``, with a mark of what was changed since.
        """
        if system == "lepta":
            git = ["git", "-C", str(ROOT)]
            changes = _said([*git, "diff", "HEAD", "--", "src"])
            changes += _said([*git, "status", "--porcelain", "--", "src"])
            mark = f"+{hashlib.sha256(changes.encode()).hexdigest()[:6]}" if changes else ""
            return _said([*git, "log", "-1", "--format=%h", "--", "src"]) + mark
        if not self.python(system).is_file():
            return None
        return _said([str(self.python(system)), str(_CHILD), "version", system])


_CHILD = Path(__file__).resolve().parent / "systems"


def _said(command: list[str]) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def measure(run: Run, split: Split, python: Path, cores: Sequence[int], results: Path) -> None:
    """Run one cell and keep what it gave: a JSON file, and the scores of the test rows."""
    with tempfile.TemporaryDirectory(prefix="automl-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        job = {
            "train": str(split.train),
            "test": str(split.test),
            "target": split.target,
            "task": split.task,
            "group": split.group,
            "budget": run.budget,
            "seed": run.seed,
            "threads": len(cores),
            "model": str(folder / "model"),
        }
        (folder / "job.json").write_text(json.dumps(job))
        found: dict[str, Any] = asdict(run) | {"when": time.strftime("%Y-%m-%d %H:%M:%S")}
        limits = {"fit": 4 * run.budget + 240, "serve": 900}
        for phase, limit in limits.items():
            found |= _phase(phase, run.system, folder, python, cores, limit)
            if "error" in found:
                break
        scores = folder / "scores.npz"
        if scores.is_file():
            shutil.copy(scores, results / f"{run.stem}.npz")
        (results / f"{run.stem}.json").write_text(json.dumps(found, indent=1) + "\n")
        say(found)


def _phase(
    phase: str, system: str, folder: Path, python: Path, cores: Sequence[int], limit: float
) -> dict[str, Any]:
    """Run one phase of a job in a fresh process; return what it and its watch measured."""
    command = [str(python), "-W", "ignore", str(_CHILD), phase, system]
    command += ["--job", str(folder / "job.json")]
    paths = {"PYTHONPATH": str(ROOT / "src")} if HOMES[system] is None else {}
    with (folder / f"{phase}.log").open("w+") as log:
        watch = Watch(command, folder, log, cores, os.environ | paths)
        code = watch.wait(limit)
        log.seek(0)
        tail = log.read()[-2000:]
    out = folder / f"{phase}.json"
    found: dict[str, Any] = {f"{phase}_cpu": watch.cpu, f"{phase}_rss_mb": watch.memory / 1e6}
    if out.is_file():
        return found | json.loads(out.read_text())
    words = f"stopped after {limit:.0f} s" if code is None else f"exit code {code}"
    return found | {"error": f"{phase}: {words}\n{tail}"}


def say(found: dict[str, Any]) -> None:
    """Print one line on a run to the error stream."""
    head = f"{found['table']:15} {found['system']:17} {found['budget']:4} s "
    if "error" in found:
        last = found["error"].strip().splitlines()[-1]
        print(f"{head} FAILED {last[:100]}", file=sys.stderr, flush=True)
        return
    print(
        f"{head} fit {found['fit_wall']:6.1f} s  row {found['row_ms']:8.3f} ms"
        f"  {found['disk_mb']:8.2f} MB  {found.get('chosen', '')}",
        file=sys.stderr,
        flush=True,
    )


def missing(runs: Sequence[Run], results: Path, retry: bool) -> list[Run]:
    """Return the runs that are still to be made."""
    wanted = []
    for run in runs:
        path = results / f"{run.stem}.json"
        if not path.is_file() or (retry and "error" in json.loads(path.read_text())):
            wanted.append(run)
    return wanted


def main() -> int:
    """Run what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(MAIN))
    parser.add_argument("--systems", nargs="+", choices=list(HOMES), default=list(HOMES))
    parser.add_argument("--budgets", nargs="+", type=int, default=[60, 300], metavar="SECONDS")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of split and systems")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of what is learned")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the tables")
    default = Path(os.environ.get("LEPTA_BENCH_PEERS", str(ROOT / ".venv-peers")))
    parser.add_argument("--peers", type=Path, default=default, help="folder of environments")
    cores = sorted(os.sched_getaffinity(0))[:2]
    parser.add_argument("--cores", nargs="+", type=int, default=cores, help="cores to run on")
    parser.add_argument("--retry", action="store_true", help="run those again that failed")
    parser.add_argument("--report-only", action="store_true", help="run nothing")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    if not options.report_only:
        _run_all(options)
    splits = {
        (name, seed): read_split(name, options.cache, seed)
        for name in options.tables
        for seed in options.seeds
    }
    return report(splits, options.systems, options.budgets, options.results)


def _run_all(options: argparse.Namespace) -> None:
    homes = Environments(options.peers)
    versions = {system: homes.version(system) for system in options.systems}
    for system in [system for system, version in versions.items() if version is None]:
        print(f"{system} is not installed: `make bench-peers`, or --peers.", file=sys.stderr)
    runs = [
        Run(table, system, version, budget, seed)
        for budget in options.budgets
        for seed in options.seeds
        for table in options.tables
        for system, version in versions.items()
        if version is not None
    ]
    todo = missing(runs, options.results, options.retry)
    for number, run in enumerate(todo):
        print(f"[{number + 1}/{len(todo)}]", end=" ", file=sys.stderr, flush=True)
        split = read_split(run.table, options.cache, run.seed)
        measure(run, split, homes.python(run.system), options.cores, options.results)


if __name__ == "__main__":
    sys.exit(main())
