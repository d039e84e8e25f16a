"""Statistical models of windows, the cheapest first, and which of them forecast best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.events import Context
from lepta.models.forecast.filters import (
    Smoothing,
    drift,
    last_value,
    seasonal_naive,
    smoothing,
    theta,
)
from lepta.models.forecast.regression import (
    STRENGTHS,
    Affine,
    Anchor,
    Products,
    mixture,
)

Floats = NDArray[np.float64]
_ROWS = 1024
"""Windows on which the parameters of smoothing are chosen."""
_ROUNDS = 8
"""Members, with repetition, of a mixture."""
_ALPHAS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.99)
_TRENDS: tuple[tuple[float | None, float], ...] = (
    (None, 1.0), (0.005, 1.0), (0.02, 0.98), (0.05, 0.95), (0.1, 0.9), (0.2, 0.8), (0.3, 0.9)
)  # fmt: skip
_GAMMAS = (1e-4, 0.02, 0.05, 0.1, 0.2, 0.35, 0.6)


@dataclass(frozen=True)
class Seen:
    """Windows (rows, series, length), context (rows, columns), targets (rows, series, horizon).

    Attributes:
        own, beside, y: these three, in the unit of the windows.
        weights: of the rows, or None.
    """

    own: Floats
    beside: Floats
    y: Floats
    weights: Floats | None = None

    def some(self, most: int) -> Seen:
        """Return at most ``most`` rows, spread over all."""
        if len(self.own) <= most:
            return self
        kept = np.linspace(0, len(self.own) - 1, most).astype(int)
        weights = None if self.weights is None else self.weights[kept]
        return Seen(self.own[kept], self.beside[kept], self.y[kept], weights)

    def loss(self, found: Floats) -> float:
        """Return the mean absolute error of forecasts (rows, series, horizon)."""
        rows = np.abs(found - self.y).mean(axis=(1, 2))
        return float(np.average(rows, weights=self.weights))


@dataclass(frozen=True)
class Regressed:
    """An autoregression that can be fitted to other rows."""

    anchor: Anchor
    each: bool
    beside: bool
    strength: float

    def fit(self, rows: Seen) -> Affine:
        """Return it fitted to ``rows``."""
        products = _products(rows, each=self.each, beside=self.beside)
        return products.normal(self.anchor, beside=self.beside).solve(self.strength)


@dataclass(frozen=True)
class Proposal:
    """A fitted model, and how it was made where it can be fitted to other rows."""

    name: str
    affine: Affine
    made: Regressed | None = None


def propose(kind: str, train: Seen, valid: Seen, periods: Sequence[int]) -> Iterator[Proposal]:
    """Yield models of a kind ("auto" for all), the cheapest first.

    Parameters of smoothing are chosen on train rows, penalties on valid rows.

    Args:
        kind: "seasonal-naive", "drift", "theta", "ets", "ar" or "auto".
        train: rows that are learned from.
        valid: rows that penalties are chosen by.
        periods: seasons, in steps.
    """
    makers: dict[str, Callable[..., Iterator[Proposal]]] = {
        "seasonal-naive": _naive,
        "drift": _drift,
        "theta": _theta,
        "ets": _ets,
        "ar": _regressions,
    }
    for name in makers if kind == "auto" else [kind]:
        yield from makers[name](train, valid, periods)


def _sizes(train: Seen) -> tuple[int, int]:
    return train.own.shape[2], train.y.shape[2]


def _fixed(window: Floats) -> Affine:
    return Affine(window, np.zeros((1, window.shape[1])))


def _error(some: Seen, window: Floats) -> float:
    return some.loss(some.own @ window)


def _naive(train: Seen, valid: Seen, periods: Sequence[int]) -> Iterator[Proposal]:
    sizes = _sizes(train)
    for period in periods:
        yield Proposal(f"seasonal-naive {period}", _fixed(seasonal_naive(*sizes, period)))
    for period, cycles in product(periods, (2, 4)):
        if cycles * period <= sizes[0]:
            window = seasonal_naive(*sizes, period, cycles)
            yield Proposal(f"seasonal-mean {period}x{cycles}", _fixed(window))
    yield Proposal("last value", _fixed(last_value(*sizes)))


def _drift(train: Seen, valid: Seen, periods: Sequence[int]) -> Iterator[Proposal]:
    yield Proposal("drift", _fixed(drift(*_sizes(train))))


def _theta(train: Seen, valid: Seen, periods: Sequence[int]) -> Iterator[Proposal]:
    some, sizes = train.some(_ROWS), _sizes(train)
    for period in (1, *_whole(periods, sizes[0])):
        tried = [theta(*sizes, alpha, period) for alpha in _ALPHAS]
        best = int(np.argmin([_error(some, window) for window in tried]))
        yield Proposal(f"theta {period} {_ALPHAS[best]:g}", _fixed(tried[best]))


def _whole(periods: Sequence[int], length: int) -> tuple[int, ...]:
    """Return seasons of which two are seen: their shape then differs from a trend."""
    return tuple(period for period in periods if 2 * period <= length)


def _ets(train: Seen, valid: Seen, periods: Sequence[int]) -> Iterator[Proposal]:
    some, sizes = train.some(_ROWS), _sizes(train)
    for period in (1, *_whole(periods, sizes[0])):
        given = Smoothing(0.2, period=period, gamma=None if period == 1 else 0.05)
        best = (_error(some, smoothing(*sizes, given)), given)
        for _ in range(2):
            before = best[0]
            for changes in _directions(period):
                tried = [replace(best[1], **change) for change in changes]
                losses = [_error(some, smoothing(*sizes, one)) for one in tried]
                place = int(np.argmin(losses))
                best = min(best, (losses[place], tried[place]), key=lambda pair: pair[0])
            if best[0] > before * 0.999:
                break
        yield Proposal(_named(best[1]), _fixed(smoothing(*sizes, best[1])))


def _directions(period: int) -> list[list[dict[str, Any]]]:
    """Return the changes tried together, one list a parameter; all of them are stable."""
    lists: list[list[dict[str, Any]]] = [
        [{"alpha": alpha} for alpha in _ALPHAS],
        [{"beta": beta, "phi": phi} for beta, phi in _TRENDS],
    ]
    return lists if period == 1 else [*lists, [{"gamma": gamma} for gamma in _GAMMAS]]


def _named(given: Smoothing) -> str:
    trend = "N" if given.beta is None else "A" if given.phi == 1.0 else "Ad"
    season = "N" if given.gamma is None else f"A{given.period}"
    return f"ETS(A,{trend},{season})"


def _regressions(train: Seen, valid: Seen, periods: Sequence[int]) -> Iterator[Proposal]:
    told = (False, True) if train.beside.shape[1] else (False,)
    several = (False, True) if train.own.shape[1] > 1 else (False,)
    anchors: tuple[Anchor, ...] = ("last", "none", "mean")
    gathered: dict[bool, Products] = {}
    for each, beside, anchor in product(several, told, anchors):
        if each not in gathered:
            gathered[each] = _products(train, each=each, beside=True)
        normal = gathered[each].normal(anchor, beside=beside)
        solved = [normal.solve(strength) for strength in STRENGTHS]
        shown = valid if beside else replace(valid, beside=valid.beside[:, :0])
        best = int(np.argmin([valid.loss(affine(shown.own, shown.beside)) for affine in solved]))
        made = Regressed(anchor, each, beside, STRENGTHS[best])
        name = f"AR{'X' if beside else ''} {anchor}{' each' if each else ''}"
        yield Proposal(name, solved[best], made)


def _products(rows: Seen, *, each: bool, beside: bool) -> Products:
    told = rows.beside if beside else rows.beside[:, :0]
    return Products.of((rows.own, told, rows.y), each=each, weights=rows.weights)


Member = tuple[float, Proposal]
"""A weight, and what it weighs."""


def choose(
    kind: str, rows: tuple[Seen, Seen], periods: Sequence[int], context: Context
) -> tuple[list[Member], float]:
    """Return the mixture of models that does best on valid rows, and its loss there.

    Members are added one by one, each the one that helps most (Caruana et al. 2004); what is linear
    mixes into one linear model. At the deadline, what was found is taken.

    Args:
        kind: as :func:`propose` takes it.
        rows: train and valid rows.
        periods: seasons, in steps.
        context: the deadline.
    """
    train, valid = rows
    found: list[tuple[float, Proposal, Floats]] = []
    for proposal in propose(kind, train, valid, periods):
        said = proposal.affine(valid.own, valid.beside)
        found.append((valid.loss(said), proposal, said))
        if context.seconds_left() <= 0:
            break
    found.sort(key=lambda entry: entry[0])
    return _mixed(found[:10], valid)


def _mixed(found: list[tuple[float, Proposal, Floats]], valid: Seen) -> tuple[list[Member], float]:
    best, total = found[0][0], found[0][2]
    chosen = [0]
    for size in range(2, _ROUNDS + 1):
        losses = [valid.loss((total + said) / size) for _, _, said in found]
        place = int(np.argmin(losses))
        if losses[place] >= best * 0.999:
            break
        best, total = losses[place], total + found[place][2]
        chosen.append(place)
    counts = {place: chosen.count(place) for place in dict.fromkeys(chosen)}
    members = [(count / len(chosen), found[place][1]) for place, count in counts.items()]
    return members, best


def mixed(members: list[Member]) -> Affine:
    """Return a mixture as one model."""
    return mixture([p.affine for _, p in members], [weight for weight, _ in members])


def refitted(members: list[Member], rows: Seen) -> list[Member]:
    """Return a mixture whose regressions are fitted to ``rows``."""
    return [
        (weight, p if p.made is None else replace(p, affine=p.made.fit(rows)))
        for weight, p in members
    ]
