"""Systems that learn from a table by themselves, behind one small interface each.

``benchmarks/automl.py`` runs this file in the environment of a system, twice a run, each time in a
process of its own: ``fit`` reads the training file and leaves a model on disk, ``serve`` loads it
and predicts. So the environments need NumPy and pandas beside the system, and nothing of Lepta.

    python benchmarks/systems fit flaml --job job.json      # writes fit.json beside the job
    python benchmarks/systems serve flaml --job job.json    # writes serve.json, scores.npz

The clock of ``fit`` starts when the system is imported and ends when the model is on disk: reading
the file, and whatever a system infers of it, count. Group columns are no input of a model; systems
that can keep groups together when they validate are told of them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import shutil
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from job import Job, System, label
from ours import Lepta, TunedLightGbm
from peers import AutoGluon, Flaml, LightAutoML, Mljar

CALLS, PATIENCE = 200, 60.0
"""Single rows predicted to measure the latency, and the seconds after which fewer must do."""

SYSTEMS: dict[str, Callable[[], System]] = {
    "lepta": Lepta,
    "autogluon-medium": lambda: AutoGluon("medium_quality"),
    "autogluon-best": lambda: AutoGluon("best_quality"),
    "flaml": Flaml,
    "lightautoml": LightAutoML,
    "mljar": Mljar,
    "lightgbm": TunedLightGbm,
}


def version_of(system: System) -> str:
    """Return the version of the package that a system comes in."""
    from importlib import metadata

    package = system.modules[0].split(".")[0]
    found = metadata.packages_distributions().get(package, [package])
    return metadata.version(found[0])


def fit(system: System, job: Job) -> dict[str, Any]:
    """Fit and measure."""
    for module in system.modules:
        importlib.import_module(module)
    wall, cpu = time.perf_counter(), _cpu()
    notes = system.fit(job)
    return notes | {"fit_wall": time.perf_counter() - wall, "fit_cpu_self": _cpu() - cpu}


def serve(system: System, job: Job, out: Path) -> dict[str, Any]:
    """Load the model, predict the test rows, and measure single rows in memory and from disk."""
    for module in system.modules:
        importlib.import_module(module)
    found: dict[str, Any] = {"disk_mb": _size(Path(job.model))}
    model = system.load(job)
    rows = system.rows(model, job)
    began = time.perf_counter()
    scores = np.asarray(system.scores(model, rows), np.float64)
    found["predict_wall"] = time.perf_counter() - began
    labels = np.array([label(one) for one in system.classes(model)])
    np.savez(out / "scores.npz", scores=scores, classes=labels)
    count = len(scores)
    singles = [system.row(rows, number) for number in range(min(CALLS, count))]
    found["row_ms_disk"] = _median([lambda: system.scores(system.load(job), singles[0])] * 5)
    if hasattr(model, "persist"):
        model.persist()
    calls = [lambda row=row: system.scores(model, row) for row in singles]
    calls = [calls[k % len(calls)] for k in range(CALLS)]
    found["row_ms"], found["row_calls"] = _median([*calls[:5], *calls], skip=5), len(calls)
    found["serve_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if isinstance(system, AutoGluon):
        found["deploy_mb"] = _deployed(model, job)
    return found


def _deployed(model: Any, job: Job) -> float:
    place = Path(job.model).with_name("deployed")
    model.clone_for_deployment(str(place))
    size = _size(place)
    shutil.rmtree(place)
    return size


def _median(calls: list[Callable[[], Any]], skip: int = 0) -> float:
    """Return the median of some calls in milliseconds; after a minute, fewer must do."""
    took: list[float] = []
    end = time.perf_counter() + PATIENCE
    for call in calls:
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
        if began > end and len(took) > skip + 3:
            break
    return statistics.median(took[skip:]) * 1e3


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _cpu() -> float:
    return time.process_time() + sum(
        resource.getrusage(resource.RUSAGE_CHILDREN)[:2]  # user and system seconds
    )


def main() -> None:
    """Run one phase of a job and write what it measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("phase", choices=["version", "fit", "serve"])
    parser.add_argument("system", choices=list(SYSTEMS))
    parser.add_argument("--job", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    system = SYSTEMS[options.system]()
    if options.phase == "version":
        print(version_of(system))
        return
    job = Job(**json.loads(options.job.read_text()))
    out = options.job.parent
    found = fit(system, job) if options.phase == "fit" else serve(system, job, out)
    (out / f"{options.phase}.json").write_text(json.dumps(found))
    os._exit(0)  # what a system leaves running is not waited for


if __name__ == "__main__":
    main()
