"""Which candidates make the model, and with what weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import TrainError
from lepta.tuning.search.board import Board, Entry, Judge

Floats = NDArray[np.float64]

_STEPS = 30
_BAGS = 5
"""Runs of the selection, each over a random part of the candidates."""
_SHARE = 0.6
_LEAST = 1e-4
"""Share of the loss by which a step must improve; else the smaller model is as good."""
_NOISE = 32.0
"""By how much of the loss, times the held-out rows, fewer folds must be better to be preferred:
the fewer rows, the better the weights fit them by chance (each weight by about one row's loss)."""
_ALIKE = 3
"""Candidates of one learner that are looked at."""
_KEPT = 8
"""Candidates that have weight, at the most."""
_LIGHT = 0.04
"""A weight below which a candidate is left out."""
_HALF = 0.5
"""Share of the bytes of the model that the model of one fold may take."""
_ROWS, _FEW_ROWS, _CELLS = 10_000, 2_000, 40_000
"""Held-out rows by which the weights are chosen, at the most; those of a glance, which are enough
in any case; and the raw scores that these rows may have."""
_MOST = 24
"""Candidates that are looked at, the best ones."""


@dataclass(frozen=True)
class Weighted:
    """Candidates and their weights, which sum to 1.

    Attributes:
        entries, weights: the candidates, the heaviest first.
        temperatures: divisor of each candidate's logits before they are added.
        temperature: divisor of the sum.
        loss: of the sum on the held-out rows.
        level: folds that it rests on.
    """

    entries: tuple[Entry, ...]
    weights: tuple[float, ...]
    temperatures: tuple[float, ...]
    temperature: float
    loss: float
    level: int

    def raw(self, rows: NDArray[np.int64]) -> Floats:
        """Return the raw scores of held-out rows."""
        parts = zip(self.entries, self.weights, self.temperatures, strict=True)
        return np.asarray(sum(w / t * entry.raw(rows) for entry, w, t in parts))

    def measured(self, judge: Judge, rows: NDArray[np.int64]) -> Weighted:
        """Return the same sum with its loss on held-out rows."""
        return replace(self, loss=judge.loss(self.raw(rows), rows, self.temperature))


def choose_weights(board: Board, seed: int) -> Weighted:
    """Return the weighted sum of candidates that does best on the held-out rows.

    Forward selection with replacement (Caruana et al. 2004), several times over random parts of
    the candidates; the weights are averaged, which keeps them from fitting the held-out rows.

    The more folds it rests on, the more the choice is worth; but a candidate that is clearly
    better, and had no time for as many, is not passed over for that.

    Raises:
        TrainError: no candidate has held-out scores.
    """
    levels = board.levels
    if not levels:
        raise TrainError("No candidate could be fitted.", fix="Give more time.")
    best = _choose(board, levels[0], seed)
    for level in levels[1:]:
        found, rows = _choose(board, level, seed), board.rows(level)
        least = best.measured(board.judge, rows).loss
        if found.loss < least - _NOISE / len(rows) * abs(least):
            best = found
    return best


def helpful(board: Board, seed: int) -> set[int]:
    """Return numbers of the candidates that have weight, by what is known after a fold or more."""
    rng = np.random.default_rng(seed)
    found: set[int] = set()
    for level in {1, *board.levels[:1]}:
        entries = _looked_at(board, level)
        rows = _some(board.rows(level), _FEW_ROWS, rng)
        raws = [entry.raw(rows) for entry in entries]
        scaled = [raw / board.judge.temperature(raw, rows) for raw in raws]
        weights = _selected(scaled, board.judge, rows)
        found |= {entry.number for entry, w in zip(entries, weights, strict=True) if w >= _LIGHT}
    return found


def _some(rows: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return ``most`` of the rows, by chance, in their order."""
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _choose(board: Board, level: int, seed: int) -> Weighted:
    """Return the weighted sum of the candidates that have done ``level`` folds."""
    entries = _looked_at(board, level)
    rows, judge = board.rows(level), board.judge
    raws = [entry.raw(rows) for entry in entries]
    heats = [judge.temperature(raw, rows) for raw in raws]
    scaled = [raw / heat for raw, heat in zip(raws, heats, strict=True)]
    rng = np.random.default_rng(seed)
    most = min(_ROWS, max(_FEW_ROWS, _CELLS // scaled[0].shape[-1]))
    some = _some(np.arange(len(rows)), most, rng)
    seen = [raw[some] for raw in scaled]
    weights = _bagged(seen, judge, rows[some], rng)
    kept = np.sort(np.argsort(-weights, kind="stable")[:_KEPT])
    weights = _selected([seen[k] for k in kept], judge, rows[some])  # once more, of these alone
    order = np.argsort(-weights, kind="stable")
    kept, weights = kept[order], weights[order]
    heavy = weights >= _LIGHT
    kept, weights = kept[heavy], weights[heavy] / weights[heavy].sum()
    raw = np.asarray(sum(w * scaled[k] for w, k in zip(weights, kept, strict=True)))
    alone = judge.loss(scaled[0], rows)
    if not judge.loss(raw, rows) < alone - _LEAST * abs(alone):
        kept, weights, raw = np.zeros(1, np.int64), np.ones(1), scaled[0]
    temperature = judge.temperature(raw, rows)
    return Weighted(
        entries=tuple(entries[k] for k in kept),
        weights=tuple(float(weight) for weight in weights),
        temperatures=tuple(heats[k] for k in kept),
        temperature=temperature,
        loss=judge.loss(raw, rows, temperature),
        level=level,
    )


def _looked_at(board: Board, level: int) -> list[Entry]:
    """Return the candidates that may have weight: the best, a few of a learner, none too large."""
    ranked = board.usable(level)
    of_learner: dict[str, int] = {}
    found: list[Entry] = []
    for entry in ranked:
        name = entry.candidate.learner
        if of_learner.get(name, 0) < _ALIKE and entry.size <= _HALF * board.roomy:
            of_learner[name] = of_learner.get(name, 0) + 1
            found.append(entry)
    return found[:_MOST] or ranked[:1]


def only(board: Board, entry: Entry, level: int) -> Weighted:
    """Return one candidate as a sum of its own."""
    rows, judge = board.rows(level), board.judge
    raw = entry.raw(rows)
    heat = judge.temperature(raw, rows)
    return Weighted((entry,), (1.0,), (1.0,), heat, judge.loss(raw, rows, heat), level)


def _bagged(
    raws: list[Floats], judge: Judge, rows: NDArray[np.int64], rng: np.random.Generator
) -> Floats:
    """Return the mean of the weights found over random parts of the candidates."""
    count = len(raws)
    if count == 1:
        return np.ones(1)
    total = np.zeros(count)
    runs = _BAGS if count > 3 else 1
    for _ in range(runs):
        size = count if runs == 1 else max(2, round(_SHARE * count))
        part = np.sort(rng.choice(count, size, replace=False))
        weights = _selected([raws[k] for k in part], judge, rows)
        total[part] += weights
    return np.asarray(total / runs)


def _selected(raws: list[Floats], judge: Judge, rows: NDArray[np.int64]) -> Floats:
    """Return weights by forward selection with replacement."""
    picks: list[int] = []
    total = np.zeros_like(raws[0])
    best = float("inf")
    for step in range(1, _STEPS + 1):
        losses = [judge.loss((total + raw) / step, rows) for raw in raws]
        pick = int(np.argmin(losses))
        if not losses[pick] < best - _LEAST * abs(best) and picks:
            break
        best = losses[pick]
        picks.append(pick)
        total += raws[pick]
    return np.bincount(picks, minlength=len(raws)) / len(picks)
