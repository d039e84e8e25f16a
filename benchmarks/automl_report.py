"""What the runs of ``benchmarks/automl.py`` say: scores, ranks, wins, ties and losses, costs."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from systems.job import label
from tables import Split

from lepta.evaluation.intervals.bootstrap import resampled
from lepta.tasks.metrics.base import weighted_mean
from lepta.tasks.metrics.ranking import area

OURS, RIVAL = "lepta", "autogluon-best"
RESAMPLES, LEVEL, LATE = 1000, 0.95, 1.1
SHORT = {"roc_auc": "AUC", "log_loss": "log loss", "rmse": "RMSE"}
LEAST = 1e-6
"""Smallest probability that log loss counts."""

Key = tuple[str, int]
"""Name of a table, seed."""


@dataclass
class Truth:
    """The test rows of a table: what was true, and which rows belong together."""

    split: Split

    @cached_property
    def _columns(self) -> tuple[np.ndarray, np.ndarray]:
        with self.split.test.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        answers = np.array([row[self.split.target] for row in rows])
        unit = [row[self.split.group] if self.split.group else n for n, row in enumerate(rows)]
        return answers, np.unique(np.array(unit), return_inverse=True)[1]

    @property
    def unit(self) -> np.ndarray:
        """Number of what is drawn together: the group of a row, or the row itself."""
        return self._columns[1]

    @cached_property
    def y(self) -> np.ndarray:
        """Values, or the text of classes."""
        answers = self._columns[0]
        if self.split.task == "regression":
            return answers.astype(float)
        return np.array([label(one) for one in answers])

    def losses(self, scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return what is averaged (or, for the area under the curve, ranked), one number a row."""
        if self.split.task == "regression":
            return (scores.reshape(len(self.y)) - self.y) ** 2
        order = {name: number for number, name in enumerate(classes)}
        if self.split.metric == "roc_auc":
            return scores[:, order[max(order)]]
        column = np.array([order.get(name, -1) for name in self.y])
        given = np.where(column < 0, 0.0, scores[np.arange(len(self.y)), column])
        return -np.log(np.clip(given / scores.sum(1), LEAST, 1.0))

    def values(self, losses: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the metric under each weighting of the rows."""
        if self.split.metric == "roc_auc":
            return area(self.y == max(set(self.y)), losses, weights)
        means = weighted_mean(losses, weights)
        return np.sqrt(means) if self.split.metric == "rmse" else means

    @property
    def sign(self) -> int:
        """1 where more is better."""
        return 1 if self.split.metric == "roc_auc" else -1

    def better(self, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
        """Return the interval of how much better we are (paired bootstrap over units)."""
        units = int(self.unit.max()) + 1
        drawn = [
            self.sign * (self.values(ours, weights) - self.values(theirs, weights))
            for weights in resampled(self.unit, units, RESAMPLES, seed=0)
        ]
        low, high = np.nanquantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)


@dataclass
class Cell:
    """What one system did on one table."""

    found: dict[str, Any]
    losses: np.ndarray | None = None
    value: float = float("nan")


@dataclass
class Board:
    """All that was done within one budget."""

    budget: int
    truths: dict[Key, Truth]
    systems: list[str]
    cells: dict[tuple[Key, str], Cell] = field(default_factory=dict)

    @property
    def keys(self) -> list[Key]:
        """The tables that every system has been run on."""
        return [k for k in self.truths if all((k, name) in self.cells for name in self.systems)]

    def ranks(self, key: Key) -> dict[str, float]:
        """Return the rank of each system on a table, 1 is best; failures share the last place."""
        sign = self.truths[key].sign
        goods = {name: sign * self.cells[key, name].value for name in self.systems}
        goods = {name: -np.inf if np.isnan(good) else good for name, good in goods.items()}
        return {
            name: 1
            + sum(other > good for other in goods.values())
            + (sum(other == good for other in goods.values()) - 1) / 2
            for name, good in goods.items()
        }

    def mean_ranks(self) -> dict[str, float]:
        """Return the mean rank of each system."""
        each = [self.ranks(key) for key in self.keys]
        return {name: statistics.fmean(one[name] for one in each) for name in self.systems}

    def outcome(self, key: Key, other: str) -> str:
        """Return ``win``, ``tie`` or ``loss`` of ours against another system on a table."""
        ours, theirs = self.cells[key, OURS], self.cells[key, other]
        if ours.losses is None or theirs.losses is None:
            failed = (ours.losses is None) - (theirs.losses is None)
            return {-1: "win", 0: "tie", 1: "loss"}[failed]
        low, high = self.truths[key].better(ours.losses, theirs.losses)
        return "win" if low > 0 else "loss" if high < 0 else "tie"

    def ratios(self, name: str, other: str) -> list[float]:
        """Return a cost of ours over that of another system, table by table."""
        pairs = [(self.cells[key, OURS].found, self.cells[key, other].found) for key in self.keys]
        return [a[name] / b[name] for a, b in pairs if a.get(name) and b.get(name)]

    def costs(self, name: str, system: str) -> list[float]:
        """Return a cost of one system on all tables where it is known."""
        found = [self.cells[key, system].found.get(name) for key in self.keys]
        return [cost for cost in found if cost is not None]


def read_board(
    truths: dict[Key, Truth], systems: Sequence[str], budget: int, results: Path
) -> Board:
    """Read the newest run of each system on each table."""
    board = Board(budget, truths, [])
    for (table, seed), truth in truths.items():
        for system in systems:
            paths = list(results.glob(f"{table}--{system}--*--{budget}--{seed}.json"))
            if not paths:
                continue
            path = max(paths, key=lambda one: json.loads(one.read_text())["when"])
            cell = Cell(json.loads(path.read_text()))
            if "error" not in cell.found:
                with np.load(path.with_suffix(".npz")) as held:
                    cell.losses = truth.losses(held["scores"], held["classes"])
                cell.value = float(truth.values(cell.losses, np.ones((1, len(truth.y))))[0])
            board.cells[(table, seed), system] = cell
    board.systems = [name for name in systems if any(name == one for _, one in board.cells)]
    return board


def report(
    splits: Mapping[Key, Split], systems: Sequence[str], budgets: Sequence[int], results: Path
) -> int:
    """Print the report of all budgets as Markdown; return 1 where a bar is missed."""
    truths = {key: Truth(split) for key, split in splits.items()}
    lines: list[str] = []
    for budget in budgets:
        board = read_board(truths, systems, budget, results)
        if not board.keys:
            print(f"No table has been tried by all of these systems in {budget} s yet.")
            continue
        _scores(board)
        _costs(board)
        lines += list(_bars(board))
        _failures(board)
    print("\n".join(lines))
    return int(any(line.endswith("fail") for line in lines))


def _scores(board: Board) -> None:
    seen = [name for name in board.systems if name != OURS]
    compared = OURS in board.systems
    print(f"\n## {board.budget} s: {len(board.keys)} tables\n")
    for name in board.systems:
        versions = {board.cells[key, name].found["version"] for key in board.keys}
        print(f"- {name}: {', '.join(sorted(versions))}")
    print("\nBest in bold. After a peer's score: + ours is better, - worse, beyond noise", end="")
    print(f" ({LEVEL:.0%} of paired bootstraps). † took more than {LATE:g} times the budget.\n")
    print(f"| table | metric | {' | '.join(board.systems)} |")
    print("|---|---" + "|---:" * len(board.systems) + "|")
    totals = {name: dict.fromkeys(("win", "tie", "loss"), 0) for name in seen}
    for key in board.keys:
        cells, ranks = [], board.ranks(key)
        for name in board.systems:
            text = _figure(board.cells[key, name].value)
            text = f"**{text}**" if ranks[name] == min(ranks.values()) else text
            late = board.cells[key, name].found.get("fit_wall", 0) > LATE * board.budget
            text += "†" if late else ""
            if compared and name != OURS:
                outcome = board.outcome(key, name)
                totals[name][outcome] += 1
                text += {"win": " +", "loss": " -", "tie": ""}[outcome]
            cells.append(text)
        metric = SHORT[board.truths[key].split.metric]
        print(f"| {key[0]}{f' {key[1]}' if key[1] else ''} | {metric} | {' | '.join(cells)} |")
    ranked = board.mean_ranks()
    print("| mean rank | | " + " | ".join(f"{ranked[name]:.2f}" for name in board.systems) + " |")
    if compared:
        told = ["/".join(map(str, totals[name].values())) for name in seen]
        told.insert(board.systems.index(OURS), "")
        print(f"| {OURS}: wins/ties/losses | | " + " | ".join(told) + " |")


def _figure(value: float) -> str:
    return "failed" if np.isnan(value) else f"{value:.4f}" if abs(value) < 10 else f"{value:.5g}"


_COSTS = {
    "fit wall s, median": ("fit_wall", statistics.median),
    "fit wall s, worst": ("fit_wall", max),
    "fit CPU s": ("fit_cpu", statistics.median),
    "fit memory MB": ("fit_rss_mb", statistics.median),
    "one row ms": ("row_ms", statistics.median),
    "one row ms, worst": ("row_ms", max),
    "load and one row ms": ("row_ms_disk", statistics.median),
    "serve memory MB": ("serve_rss_mb", statistics.median),
    "MB on disk": ("disk_mb", statistics.median),
    "MB for deployment": ("deploy_mb", statistics.median),
}


def _costs(board: Board) -> None:
    print(f"\nMedians over tables, {board.budget} s:\n")
    print(f"| | {' | '.join(board.systems)} |")
    print("|---" + "|---:" * len(board.systems) + "|")
    for title, (name, of) in _COSTS.items():
        costs = {system: board.costs(name, system) for system in board.systems}
        cells = [f"{of(found):.3g}" if found else "" for found in costs.values()]
        print(f"| {title} | {' | '.join(cells)} |")
    print()


def _bars(board: Board) -> list[str]:
    if OURS not in board.systems or len(board.systems) < 2:
        return []
    ranked, budget = board.mean_ranks(), board.budget
    best = min(rank for name, rank in ranked.items() if name != OURS)
    allowed = max(took / (1.05 * budget + 2) for took in board.costs("fit_wall", OURS) or [np.inf])
    lines = [
        _bar(f"mean_rank_{budget}s", ranked[OURS], "<", best),
        _bar(f"wall_over_promise_{budget}s", allowed, "<=", 1.0),
    ]
    if RIVAL in board.systems:
        outcomes = [board.outcome(key, RIVAL) for key in board.keys]
        share = 1 - outcomes.count("loss") / len(outcomes)
        lines.append(_bar(f"win_or_tie_{RIVAL}_{budget}s", share, ">=", 0.70))
    for other in [name for name in board.systems if name.startswith("autogluon")]:
        for name, target in (("row_ms", 0.01), ("disk_mb", 0.2)):
            ratios = board.ratios(name, other)
            if not ratios:  # one of the two failed everywhere, which the ranks tell
                continue
            title = f"{name}_over_{other}_{budget}s"
            lines.append(_bar(f"{title}_median", statistics.median(ratios), "<=", target))
            lines.append(_bar(f"{title}_worst", max(ratios), "<=", target))
    return lines


def _bar(name: str, value: float, direction: str, target: float) -> str:
    passed = {"<": value < target, "<=": value <= target, ">=": value >= target}[direction]
    return f"BAR {name} {value:.4g} {direction}{target:.4g} {'pass' if passed else 'fail'}"


def _failures(board: Board) -> None:
    for ((table, seed), name), cell in board.cells.items():
        if "error" in cell.found:
            last = cell.found["error"].strip().splitlines()[-1]
            print(f"- {table} (seed {seed}), {name} failed: {last[:200]}")
