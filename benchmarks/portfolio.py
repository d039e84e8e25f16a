"""Which configurations of a learner to try first: chosen by measurement on public tables.

Each candidate is fitted on the folds of each table, on training rows only; the held-out rows' raw
scores, the error and the CPU seconds are kept. Then a list is chosen greedily: each time the
configuration is added with which the ensemble of the list (Caruana et al. 2004,
doi:10.1145/1015330.1015432, of the held-out scores) is best on average over the tables.

    python benchmarks/portfolio.py --measure                  # kept; goes on where it was
    python benchmarks/portfolio.py                            # all candidates, and the lists
    python benchmarks/portfolio.py --latency --only concrete  # one row, bags of eight folds

The error of a table is 1 - AUC, the log loss or the root mean square error; what is averaged is
the logarithm of its ratio to the best of all single candidates.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tables import CACHE, TABLES, read_split

from lepta.core.events import Context
from lepta.core.schema import Role
from lepta.data import Dataset
from lepta.models.front.front import plain_columns
from lepta.models.front.shared import share_rows, shared_part
from lepta.models.learner import LEARNERS, Fitted, to_onnx
from lepta.runtime.pack import pack
from lepta.runtime.session import open_session

RESULTS = Path(__file__).resolve().parent / ".results" / "portfolio"
SIZES = (2000, 10_000)
"""Rows above which a table counts as of middle size, and as large."""

_LEAFWISE: dict[str, Any] = {"columns": 0.5, "rows": 0.8, "l2": 5.0, "extra": False}
_CHANCE: dict[str, Any] = {"learning_rate": 0.08, "rows": 0.8, "l2": 5.0, "extra": True}
_LEVELS: dict[str, Any] = {"min_weight": 2.0, "columns": 0.6, "rows": 0.8, "l1": 0.001, "l2": 2.0}
_EVEN: dict[str, Any] = {"l2": 3.0, "noise": 1.0, "columns": 1.0}
CANDIDATES: dict[str, tuple[str, dict[str, Any]]] = {
    "trees-before": ("trees", _LEAFWISE | {"learning_rate": 0.03, "leaves": 15, "min_rows": 40}),
    "trees-middle": ("trees", _LEAFWISE | {"learning_rate": 0.06, "leaves": 12, "min_rows": 20}),
    "trees-small": ("trees", _LEAFWISE | {"learning_rate": 0.1, "leaves": 8, "min_rows": 20}),
    "trees-few": (
        "trees",
        _LEAFWISE | {"learning_rate": 0.1, "leaves": 5, "min_rows": 10, "columns": 0.4},
    ),
    "trees-many": ("trees", _LEAFWISE | {"learning_rate": 0.05, "leaves": 40, "min_rows": 10}),
    "trees-all": (
        "trees",
        _LEAFWISE | {"learning_rate": 0.06, "columns": 1.0, "rows": 0.9, "min_rows": 10},
    ),
    "trees-chance": ("trees", _CHANCE | {"leaves": 24, "min_rows": 5, "columns": 0.8}),
    "trees-chance-few": (
        "trees",
        _CHANCE | {"leaves": 10, "min_rows": 5, "columns": 0.8, "learning_rate": 0.12},
    ),
    "trees-chance-calm": ("trees", _CHANCE | {"leaves": 24, "min_rows": 10, "columns": 0.5}),
    "trees-chance-many": ("trees", _CHANCE | {"leaves": 64, "min_rows": 3, "columns": 1.0}),
    "xgboost": ("xgboost", _LEVELS | {"depth": 5, "learning_rate": 0.08}),
    "xgboost-flat": ("xgboost", _LEVELS | {"depth": 3, "learning_rate": 0.12}),
    "xgboost-calm": (
        "xgboost",
        _LEVELS | {"depth": 3, "learning_rate": 0.1, "columns": 0.4, "rows": 0.7, "l2": 5.0},
    ),
    "xgboost-deep": (
        "xgboost",
        _LEVELS | {"depth": 8, "learning_rate": 0.08, "min_weight": 4.0, "columns": 0.5, "l2": 5.0},
    ),
    "xgboost-slow": (
        "xgboost",
        _LEVELS | {"depth": 5, "learning_rate": 0.04, "columns": 0.4, "l2": 5.0},
    ),
    "catboost": ("catboost", _EVEN | {"depth": 5, "learning_rate": 0.08}),
    "catboost-flat": ("catboost", _EVEN | {"depth": 4, "learning_rate": 0.12}),
    "catboost-flatter": ("catboost", _EVEN | {"depth": 3, "learning_rate": 0.15}),
    "catboost-slow": ("catboost", _EVEN | {"depth": 5, "learning_rate": 0.04}),
    "catboost-calm": (
        "catboost",
        _EVEN | {"depth": 6, "learning_rate": 0.08, "noise": 0.3, "l2": 8.0, "columns": 0.6},
    ),
    "catboost-steep": ("catboost", _EVEN | {"depth": 6, "learning_rate": 0.15, "columns": 0.6}),
    "forest": ("forest", {"min_rows": 2, "columns": 0.4, "leaves": 300}),
    "forest-coarse": ("forest", {"min_rows": 6, "columns": 0.3, "leaves": 300}),
    "forest-fine": ("forest", {"min_rows": 1, "columns": 0.6, "leaves": 800}),
    "extra-trees": ("extra-trees", {"min_rows": 2, "columns": 0.4, "leaves": 300}),
    "extra-trees-coarse": ("extra-trees", {"min_rows": 6, "columns": 0.8, "leaves": 300}),
    "extra-trees-fine": ("extra-trees", {"min_rows": 1, "columns": 1.0, "leaves": 800}),
}
"""Name -> learner and options."""


def table_rows(name: str, cache: Path, most: int) -> Dataset:
    """Return at most so many of the training rows of a table."""
    split = read_split(name, cache)
    data = Dataset.read(split.train, target=split.target, task=split.task, group=split.group)
    order = np.random.default_rng(0).permutation(len(data))[:most]
    return data.take(order)


def folds_of(data: Dataset, count: int) -> list[NDArray[np.int64]]:
    """Return the held-out rows of each fold: the same share of classes, or whole groups."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

    y, group = data.targets(data.task), data.schema.one(Role.GROUP)
    if group is not None:
        owners = np.unique(data.column(group.name), return_inverse=True)[1]
        made = GroupKFold(count).split(y, groups=owners)
    elif data.task.is_classification:
        made = StratifiedKFold(count, shuffle=True, random_state=0).split(y, y)
    else:
        made = KFold(count, shuffle=True, random_state=0).split(y)
    return [held for _, held in made]


def bag(
    data: Dataset, held: Sequence[NDArray[np.int64]], learner: str, options: dict[str, Any]
) -> tuple[list[Fitted], list[Dataset], Context]:
    """Fit one model a fold; return them, the held-out rows of each, and the context."""
    everything = np.arange(len(data))
    parts = [p for rows in held for p in (np.setdiff1d(everything, rows), rows)]
    context = share_rows(Context(threads=1), data, parts)
    unseen = [shared_part(context, 2 * n + 1) for n in range(len(held))]
    models = [
        LEARNERS.get(learner)(**options).fit(shared_part(context, 2 * n), rows, data.task, context)
        for n, rows in enumerate(unseen)
    ]
    return models, unseen, context


def error_of(raw: NDArray[np.float64], y: NDArray[Any], metric: str) -> float:
    """Return 1 - AUC, the log loss or the root mean square error of raw scores (rows, width)."""
    from scipy.special import log_softmax
    from scipy.stats import rankdata

    if metric == "rmse":
        return float(np.sqrt(np.mean((raw[:, 0] - y) ** 2)))
    if metric == "roc_auc":
        ranks, ones = rankdata(raw[:, 1] - raw[:, 0]), int(y.sum())
        wins = ranks[y == 1].sum() - ones * (ones + 1) / 2
        return float(1 - wins / (ones * (len(y) - ones)))
    return float(-np.mean(log_softmax(raw, axis=1)[np.arange(len(y)), y]))


def measure(name: str, candidate: str, cache: Path, most: int, count: int) -> None:
    """Fit one candidate on the folds of one table, and keep what came out."""
    path = RESULTS / f"{name}.{candidate}.npz"
    if path.is_file():
        return
    learner, options = CANDIDATES[candidate]
    data = table_rows(name, cache, most)
    held = folds_of(data, count)
    begin = time.process_time()
    models, unseen, context = bag(data, held, learner, options)
    seconds = time.process_time() - begin
    raw = np.zeros((len(data), data.task.raw_width))
    for model, rows, positions in zip(models, unseen, held, strict=True):
        raw[positions] = model.raw_of(rows, context)
    y = data.targets(data.task)
    figures = {
        "error": error_of(raw, y, TABLES[name].metric),
        "seconds": seconds,
        "leaves": int(np.mean([len(m.total().ensemble.values) for m in models])),  # type: ignore[attr-defined]
        "rows": len(data),
        "columns": len(data.schema.inputs),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, raw=raw.astype(np.float32), y=y, figures=json.dumps(figures))
    print(name, candidate, figures, file=sys.stderr, flush=True)


Measured = dict[str, dict[str, tuple[NDArray[np.float64], NDArray[Any], dict[str, float]]]]
"""Table -> candidate -> held-out raw scores, targets, figures."""


def kept() -> Measured:
    """Return all that was measured."""
    found: Measured = {}
    for path in sorted(RESULTS.glob("*.npz")):
        table, candidate = path.stem.split(".")
        if candidate in CANDIDATES:
            with np.load(path) as file:
                figures = json.loads(str(file["figures"]))
                entry = file["raw"].astype(np.float64), file["y"], figures
            found.setdefault(table, {})[candidate] = entry
    return {table: own for table, own in found.items() if len(own) == len(CANDIDATES)}


def ensemble_error(members: Sequence[NDArray[np.float64]], y: NDArray[Any], metric: str) -> float:
    """Return the error of the sum of raw scores that is chosen step by step, with repeats."""
    total, best, steps = np.zeros_like(members[0]), np.inf, 0
    while steps < 8:
        errors = [error_of((total + raw) / (steps + 1), y, metric) for raw in members]
        chosen = int(np.argmin(errors))
        if errors[chosen] >= best:
            break
        total, best, steps = total + members[chosen], errors[chosen], steps + 1
    return float(best)


def choose(measured: Measured, names: Sequence[str], length: int) -> list[tuple[str, float, float]]:
    """Return candidates in the order chosen, with the mean log ratio and CPU seconds so far."""
    best = {t: min(e[2]["error"] for e in own.values()) for t, own in measured.items()}
    listed: list[tuple[str, float, float]] = []
    while len(listed) < length:
        taken = [name for name, _, _ in listed]
        options = []
        for name in names:
            if name not in taken:
                ratios = [
                    ensemble_error([own[n][0] for n in [*taken, name]], own[name][1],
                                   TABLES[table].metric) / best[table]
                    for table, own in measured.items()
                ]  # fmt: skip
                options.append((float(np.mean(np.log(ratios))), name))
        value, name = min(options)
        seconds = np.mean([[own[n][2]["seconds"] for n in [*taken, name]] for own in measured.values()], axis=0).sum()  # fmt: skip  # noqa: E501
        listed.append((name, value, float(seconds)))
    return listed


def report(measured: Measured, length: int) -> None:
    """Print the mean of each candidate, and the lists, by family and by size of table."""
    print(f"Tables: {', '.join(measured)}.\n")
    print("| candidate | mean log ratio to the best | mean rank | CPU s | leaves |")
    print("|---|---|---|---|---|")
    errors = np.array([[own[c][2]["error"] for c in CANDIDATES] for own in measured.values()])
    ratios = np.log(errors / errors.min(axis=1, keepdims=True)).mean(axis=0)
    ranks = (errors.argsort(axis=1).argsort(axis=1) + 1).mean(axis=0)
    for number in np.argsort(ratios):
        name = list(CANDIDATES)[number]
        seconds, leaves = (
            np.mean([own[name][2][key] for own in measured.values()])
            for key in ("seconds", "leaves")
        )
        row = f"{ratios[number]:.4f} | {ranks[number]:.1f} | {seconds:.2f} | {leaves:.0f}"
        print(f"| {name} | {row} |")
    groups: dict[str, Measured] = {"all tables": measured}
    for title, keep in (
        ("classes", lambda t: TABLES[t].task != "regression"),
        ("numbers", lambda t: TABLES[t].task == "regression"),
        ("small", lambda t: measured[t]["trees-before"][2]["rows"] < SIZES[0]),
        ("not small", lambda t: measured[t]["trees-before"][2]["rows"] >= SIZES[0]),
    ):
        groups[title] = {t: own for t, own in measured.items() if keep(t)}
    families = {learner for learner, _ in CANDIDATES.values()}
    for title, part in groups.items():
        if not part:
            continue
        print(f"\n## {title} ({len(part)})\n")
        for family in ["", *sorted(families)]:
            names = [n for n, (learner, _) in CANDIDATES.items() if family in ("", learner)]
            listed = choose(part, names, min(length if family == "" else 3, len(names)))
            text = ", ".join(f"{n} ({value:+.4f}, {s:.1f} s)" for n, value, s in listed)
            print(f"- {family or 'all families'}: {text}")


def latency(name: str, cache: Path, most: int) -> None:
    """Print, for the defaults of each family, one row's microseconds in a bag of eight folds."""
    data = table_rows(name, cache, most)
    held = folds_of(data, 8)
    print(f"| {name} | us a row | KiB of graph | leaves | error |\n|---|---|---|---|---|")
    for learner in sorted({learner for learner, _ in CANDIDATES.values()}):
        models, unseen, context = bag(data, held, learner, {})
        whole = models[0].combine(models[1:], [1 / 8] * 8)
        assert whole is not None
        graph = to_onnx(whole).SerializeToString()
        session = open_session(graph)
        feed = pack(
            whole.front.signature(data.task),
            plain_columns(data.take(np.arange(1)), whole.front.inputs),
        )
        times = []
        for _ in range(2000):
            begin = time.perf_counter()
            session.run(None, feed)
            times.append(time.perf_counter() - begin)
        raw = np.zeros((len(data), data.task.raw_width))
        for model, rows, positions in zip(models, unseen, held, strict=True):
            raw[positions] = model.raw_of(rows, context)
        error = error_of(raw, data.targets(data.task), TABLES[name].metric)
        leaves = len(whole.total().ensemble.values)  # type: ignore[attr-defined]
        size = len(graph) / 1024
        print(f"| {learner} | {1e6 * np.median(times):.0f} | {size:.0f} | {leaves} | {error:.4f} |")


def main() -> int:
    """Measure what is asked for, and print the lists."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(TABLES), metavar="TABLE")
    parser.add_argument("--candidates", nargs="+", choices=list(CANDIDATES), metavar="NAME")
    parser.add_argument("--measure", action="store_true", help="measure only, print no lists")
    parser.add_argument("--latency", action="store_true", help="of bags, on the tables named")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the tables")
    parser.add_argument("--rows", type=int, default=5000, help="of each table, at the most")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--length", type=int, default=8, help="of the list over all families")
    options = parser.parse_args()
    for name in options.only or ([] if not options.measure else list(TABLES)):
        if options.latency:
            latency(name, options.cache, options.rows)
            continue
        for candidate in options.candidates or CANDIDATES:
            measure(name, candidate, options.cache, options.rows, options.folds)
    if not options.measure and not options.latency:
        report(kept(), options.length)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
