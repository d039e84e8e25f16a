"""Assign rows to parts of given proportions: stratified, by group, by time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import DataError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def stratified(strata: Ints, shares: Floats, rng: np.random.Generator) -> Ints:
    """Return a part for each row; every stratum is spread over the parts as evenly as it can be.

    Args:
        strata: class or bin of each row.
        shares: proportion of each part, summing to 1; part 0 is the one that trains.
        rng: source of randomness.
    """
    order = np.lexsort((rng.random(len(strata)), strata))
    parts = np.empty(len(strata), np.int64)
    if np.ptp(shares) < 1e-12:
        turns = rng.permutation(len(shares))
        parts[order] = turns[np.arange(len(strata)) % len(shares)]
        return parts
    parts[order] = _interleaved(len(strata), shares, rng)
    return parts


def _interleaved(count: int, shares: Floats, rng: np.random.Generator) -> Ints:
    """Return parts whose every stretch holds the shares, to within one row a part."""
    parts = np.zeros(count, np.int64)
    free = np.arange(count)
    left = 1.0
    wanted = np.diff(np.round(np.cumsum(shares) * count), prepend=0).astype(int)
    for part in range(len(shares) - 1, 0, -1):
        step = shares[part] / left if left > 0 else 0.0
        marks = np.floor(np.arange(1, len(free) + 1) * step + rng.random())
        chosen = np.flatnonzero(np.diff(marks, prepend=np.floor(marks[:1] - step)) > 0)
        chosen = _exactly(chosen, int(wanted[part]), len(free), rng)
        parts[free[chosen]] = part
        free = np.delete(free, chosen)
        left -= shares[part]
    return parts


def _exactly(chosen: Ints, wanted: int, count: int, rng: np.random.Generator) -> Ints:
    """Drop or add positions at random until as many as wanted are chosen."""
    wanted = min(wanted, count)
    if len(chosen) > wanted:
        return np.sort(rng.choice(chosen, wanted, replace=False))
    rest = np.setdiff1d(np.arange(count), chosen)
    more = rng.choice(rest, wanted - len(chosen), replace=False)
    return np.sort(np.concatenate([chosen, more]))


def grouped(strata: Ints, groups: Ints, shares: Floats, rng: np.random.Generator) -> Ints:
    """Return a part for each row so that no group stands in two parts.

    Groups are placed from the largest to the smallest, each where it brings the parts nearest
    to their shares of every stratum.

    Raises:
        DataError: there are fewer groups than parts.
    """
    used = np.flatnonzero(shares > 0)
    groups, count = _renumber(groups)
    if count < len(used):
        raise DataError(
            f"{count} group(s) cannot be spread over {len(used)} splits.",
            fix="Use fewer splits or folds, or add groups.",
        )
    table = _counts(strata, groups, count)
    owner = _place(table, shares[used], rng)
    owner = _mend_empty(owner, table, len(used))
    owner = _mend_train(owner, table)
    return used[owner][groups]


def _renumber(codes: Ints) -> tuple[Ints, int]:
    unique, inverse = np.unique(codes, return_inverse=True)
    return inverse.astype(np.int64), len(unique)


def _counts(strata: Ints, groups: Ints, count: int) -> Floats:
    """Return rows of each group: in each stratum, and in all (last column)."""
    strata, width = _renumber(strata)
    table = np.zeros((count, width + 1))
    np.add.at(table, (groups, strata), 1.0)
    table[:, -1] = table[:, :-1].sum(axis=1)
    return table


def _place(table: Floats, shares: Floats, rng: np.random.Generator) -> Ints:
    totals = table.sum(axis=0)
    wanted = shares[:, None] * totals
    weights = 1.0 / totals
    weights[-1] *= len(totals) - 1
    order = np.lexsort((rng.random(len(table)), -table[:, -1]))
    filled = np.zeros_like(wanted)
    owner = np.empty(len(table), np.int64)
    for group in order:
        size = table[group]
        cost = ((2.0 * (filled - wanted) + size) * size * weights / shares[:, None]).sum(axis=1)
        part = int(cost.argmin())
        owner[group] = part
        filled[part] += size
    return owner


def _mend_empty(owner: Ints, table: Floats, parts: int) -> Ints:
    """Give every part at least one group: the smallest one of the part with most groups."""
    for part in range(parts):
        while not (owner == part).any():
            rich = int(np.bincount(owner, minlength=parts).argmax())
            mine = np.flatnonzero(owner == rich)
            owner[mine[table[mine, -1].argmin()]] = part
    return owner


def _mend_train(owner: Ints, table: Floats) -> Ints:
    """Move a group into part 0 for each stratum that it lacks, where one can be spared."""
    for stratum in range(table.shape[1] - 1):
        holders = np.flatnonzero(table[:, stratum] > 0)
        if (owner[holders] == 0).any():
            continue
        spare = [g for g in holders if (owner == owner[g]).sum() > 1]
        if spare:
            owner[min(spare, key=lambda g: table[g, -1])] = 0
    return owner


def in_order(moments: Floats, groups: Ints | None, shares: Floats) -> Ints:
    """Return a part for each row by time: part 0 the earliest, the last part the latest.

    Rows of one moment, and of one group (placed by its last moment), stay together; rows without
    a time count as earliest.

    Raises:
        DataError: the moments do not suffice for as many parts.
    """
    times = np.nan_to_num(moments, nan=-np.inf)
    if groups is not None:
        codes, count = _renumber(groups)
        last = np.full(count, -np.inf)
        np.maximum.at(last, codes, times)
        times = last[codes]
    unique, inverse, sizes = np.unique(times, return_inverse=True, return_counts=True)
    used = np.flatnonzero(shares > 0)
    if len(unique) < len(used):
        raise DataError(
            f"{len(unique)} distinct time(s) cannot be spread over {len(used)} splits.",
            fix="Use fewer splits, or a finer time.",
        )
    cuts = _cuts(np.cumsum(sizes), np.cumsum(shares[used])[:-1] * len(times))
    part = np.searchsorted(cuts, np.arange(len(unique)), side="right")
    return used[part][inverse]


def _cuts(totals: Ints, wanted: Floats) -> list[int]:
    """Return where to cut so that totals come nearest to those wanted and no part is empty."""
    cuts: list[int] = []
    for number, total in enumerate(wanted):
        nearest = int(np.abs(totals - total).argmin()) + 1
        least = cuts[-1] + 1 if cuts else 1
        cuts.append(min(max(nearest, least), len(totals) - len(wanted) + number))
    return cuts


def keep_strata_in_train(parts: Ints, strata: Ints, rng: np.random.Generator) -> Ints:
    """Move one row into part 0 for each stratum that part 0 has none of."""
    for stratum in np.setdiff1d(strata, strata[parts == 0]):
        rows = np.flatnonzero(strata == stratum)
        parts[rng.choice(rows)] = 0
    return parts


def bins(values: Floats, count: int) -> Ints:
    """Return the quantile bin of each number; missing ones have a bin of their own."""
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(len(values))
    codes = np.floor(ranks * count / max(len(values), 1)).astype(np.int64)
    codes[np.isnan(values)] = count
    return codes
