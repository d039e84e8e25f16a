"""Nothing is told of fewer rows than allowed, and no row is lost from the counts."""

import json
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.edge.agent.summaries import SKETCH, Labels, Numbers, coarsened, suppressed

COUNTS = st.lists(st.integers(0, 12), min_size=2, max_size=30)
LEAST = st.integers(1, 8)


@given(COUNTS, LEAST)
def test_bins_hold_no_row_or_enough_and_every_row_stays(counts, least):
    edges = np.arange(len(counts) - 1, dtype=float)
    kept, told = coarsened(edges, np.array(counts), least)
    if sum(counts) >= least:
        assert all(n == 0 or n >= least for n in told)
    assert sum(told) == sum(counts)
    assert len(kept) == len(told) - 1
    assert set(kept) <= set(edges.tolist())
    bounds = [0, *(int(edge) + 1 for edge in kept), len(counts)]
    assert told == [sum(counts[a:b]) for a, b in pairwise(bounds)]


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 12), max_size=8), LEAST)
def test_a_label_that_is_not_told_cannot_be_worked_out(counts, least):
    told, pooled = suppressed(counts, least)
    hidden = {label: n for label, n in counts.items() if n and label not in told}
    assert sum(told.values()) + pooled == sum(counts.values())
    assert all(n >= least for n in told.values())
    assert sum(hidden.values()) == pooled
    if told and hidden:
        assert pooled >= least
        assert len(hidden) > 1


@settings(max_examples=50)
@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=60), st.integers(1, 5))
def test_mean_and_deviation_do_not_depend_on_the_pieces(values, pieces):
    whole = Numbers()
    for piece in np.array_split(np.array(values), pieces):
        whole.add(piece)
    told = whole.tell(1)
    scale = max(1.0, np.abs(values).max())
    assert told["count"] == len(values)
    assert abs(told["mean"] - np.mean(values)) <= 1e-9 * scale
    assert abs(told["std"] - np.std(values)) <= 1e-6 * scale


def test_bins_are_those_of_numpy():
    values = np.random.default_rng(0).normal(size=1000)
    counts, edges = np.histogram(values, bins=30)
    numbers = Numbers(edges)
    numbers.add(values)
    assert numbers._counts[1:-1].tolist() == counts.tolist()
    assert numbers._counts[[0, -1]].tolist() == [0, 0]
    numbers.add([edges[0] - 1, edges[-1] + 1, edges[-1]])
    assert numbers._counts[[0, -1]].tolist() == [1, 1]
    assert numbers._counts[-2] == counts[-1] + 1


def test_a_sketch_knows_quantiles_to_twelve_percent():
    values = np.random.default_rng(1).lognormal(2, 2, 20_000)
    numbers = Numbers(SKETCH)
    numbers.add(values)
    told = numbers.tell(5)["histogram"]
    shares = np.cumsum(told["counts"]) / len(values)
    for level in (0.1, 0.5, 0.9):
        upper = told["edges"][int(np.searchsorted(shares, level))]
        assert abs(upper / np.quantile(values, level) - 1) < 0.27


def test_missing_and_infinite_numbers_are_counted_apart():
    numbers = Numbers([0, 1])
    numbers.add([np.nan, np.inf, -np.inf, 0.5, 1e308, -1e308, 3.0])
    told = numbers.tell(1)
    assert (told["count"], told["missing"], told["infinite"]) == (4, 1, 2)
    json.dumps(told, allow_nan=False)


def test_few_rows_tell_nothing_but_that_they_were_few():
    numbers = Numbers()
    numbers.add([37.2, 36.9])
    assert numbers.tell(5) == {"count": 2, "missing": 0, "infinite": 0}


def test_unknown_labels_are_never_named():
    labels = Labels(["Rome", "Oslo"])
    labels.add(["Rome"] * 9 + ["Oslo"] * 6 + ["Anna Nowak, 12 May"] * 50 + ["", None])
    assert labels.tell(5) == {
        "count": 65, "missing": 2, "unseen": 50, "counts": {"Oslo": 6, "Rome": 9}, "pooled": 0,
    }  # fmt: skip
