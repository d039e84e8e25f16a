from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.errors import DataError, SchemaError
from lepta.data import Dataset, folds


def dataset(rows=100, classes=2, seed=0, **columns):
    rng = np.random.default_rng(seed)
    table = {"x": rng.random(rows), "y": rng.integers(0, classes, rows).astype(str), **columns}
    options = {"group": "group", "time": "time_field", "split": "split"}
    roles = {option: name for name, option in options.items() if name in columns}
    return Dataset.read(table, target="y", kinds={"y": "category"}, **roles)


def assert_partition(parts, rows):
    whole = np.concatenate(list(parts))
    assert len(whole) == rows
    assert np.array_equal(np.sort(whole), np.arange(rows))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(3, 300),
    classes=st.integers(1, 6),
    valid=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
    seed=st.integers(0, 2**31),
)
def test_stratified_splits(rows, classes, valid, test, seed):
    data = dataset(rows, classes, seed)
    split = data.split(valid=valid, test=test, seed=seed)
    assert_partition(split.splits.values(), rows)
    labels = np.array(data.column("y"))
    assert set(labels[split.splits["train"]]) == set(labels)
    slack = classes + 1
    assert abs(len(split.splits["test"]) - test * rows) <= slack
    assert abs(len(split.splits["valid"]) - valid * rows) <= slack
    for label, count in Counter(labels).items():
        there = int((labels[split.splits["test"]] == label).sum())
        assert abs(there - test * count) <= 2 + 0.02 * count
    again = data.split(valid=valid, test=test, seed=seed)
    assert all(np.array_equal(split.splits[n], again.splits[n]) for n in split.splits)


@settings(max_examples=60, deadline=None)
@given(groups=st.integers(3, 60), size=st.integers(1, 8), seed=st.integers(0, 2**31))
def test_groups_stay_together(groups, size, seed):
    rows = groups * size
    codes = np.random.default_rng(seed).integers(0, groups, rows)
    codes[: min(rows, groups)] = np.arange(groups)[:rows]
    data = dataset(rows, 2, seed, group=codes)
    split = data.split(seed=seed)
    assert_partition(split.splits.values(), rows)
    held = [set(codes[rows]) for rows in split.splits.values()]
    assert all(held)
    assert sum(map(len, held)) == len(set(codes))
    largest = max(Counter(codes).values())
    assert abs(len(split.splits["test"]) - 0.2 * rows) <= largest + 0.1 * rows
    for train, test in folds(data, 3, seed):
        assert not set(codes[train]) & set(codes[test])


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(10, 200), k=st.integers(2, 6), seed=st.integers(0, 2**31))
def test_folds_test_every_row_once(rows, k, seed):
    data = dataset(rows, 3, seed)
    pairs = list(folds(data, k, seed))
    assert_partition([test for _, test in pairs], rows)
    for train, test in pairs:
        assert_partition([train, test], rows)
        assert abs(len(test) - rows / k) <= 1 + 1e-9
    again = list(folds(data, k, seed))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(pairs, again, strict=True))


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(3, 200), moments=st.integers(3, 50), seed=st.integers(0, 2**31))
def test_time_goes_forward(rows, moments, seed):
    rng = np.random.default_rng(seed)
    times = rng.integers(0, moments, rows)
    times[:3] = [0, 1, 2]
    data = dataset(rows, 2, seed, time=times)
    split = data.split()
    assert_partition(split.splits.values(), rows)
    parts = [times[split.splits[name]] for name in ("train", "valid", "test")]
    assert parts[0].max() < parts[1].min() <= parts[1].max() < parts[2].min()


def test_folds_of_time_train_on_the_past():
    data = dataset(100, time=np.random.default_rng(1).permutation(100))
    times = data.numpy("time")
    pairs = list(folds(data, 4))
    assert len(pairs) == 4
    for train, test in pairs:
        assert times[train].max() < times[test].min()


def test_groups_and_time_together():
    group = np.repeat(np.arange(20), 5)
    time = group * 10 + np.tile(np.arange(5), 20)
    split = dataset(100, group=group, time=time).split()
    held = [set(group[rows]) for rows in split.splits.values()]
    assert sum(map(len, held)) == 20
    assert max(held[0]) < min(held[2])


def test_groups_are_stratified_as_well_as_possible():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 10)
    sick = np.repeat((rng.random(60) < 0.25).astype(int), 10)
    data = Dataset.read({"x": rng.random(600), "group": group, "y": sick}, target="y",
                        group="group")  # fmt: skip
    split = data.split(seed=3)
    rates = [split[name].targets().mean() for name in ("train", "valid", "test")]
    assert max(rates) - min(rates) < 0.1


def test_rows_without_a_group_stand_alone():
    group = ["a"] * 30 + [None] * 70
    split = dataset(100, group=group).split()
    assert len(split.splits["test"]) == 20
    assert sum((rows < 30).any() for rows in split.splits.values()) == 1


def test_a_regression_is_split_by_quantiles():
    rng = np.random.default_rng(0)
    data = Dataset.read({"x": rng.random(1000), "y": rng.exponential(size=1000)}, target="y")
    split = data.split(seed=1)
    means = [split[name].numpy("y").mean() for name in ("train", "valid", "test")]
    assert max(means) - min(means) < 0.1


def test_given_splits_are_kept_and_completed():
    names = (["training"] * 6 + ["TEST"] * 4) * 10
    data = dataset(100, split=names)
    assert set(data.splits) == {"train", "test"}
    split = data.split(valid=0.25)
    assert np.array_equal(split.splits["test"], data.splits["test"])
    assert len(split.splits["valid"]) == 15
    assert_partition(split.splits.values(), 100)
    whole = dataset(99, split=["train", "dev", "test"] * 33)
    assert np.array_equal(whole.split().splits["valid"], whole.splits["valid"])


def test_given_splits_are_completed_by_group():
    group = np.repeat(np.arange(20), 5)
    data = dataset(100, split=["train"] * 60 + ["test"] * 40, group=group)
    split = data.split()
    assert not set(group[split.splits["train"]]) & set(group[split.splits["valid"]])


def test_shares_of_zero_leave_a_split_out():
    assert set(dataset().split(valid=0).splits) == {"train", "test"}
    assert set(dataset().split(valid=0, test=0).splits) == {"train"}


def test_what_cannot_be_split_is_refused():
    with pytest.raises(DataError, match=r"2 row\(s\) cannot be spread over 3"):
        dataset(2).split()
    with pytest.raises(DataError, match=r"2 group\(s\) cannot be spread over 3"):
        dataset(100, group=np.arange(100) % 2).split()
    with pytest.raises(DataError, match=r"1 distinct time\(s\)"):
        dataset(100, time=np.ones(100)).split()
    with pytest.raises(DataError, match="leave nothing to train on"):
        dataset().split(valid=0.5, test=0.5)
    with pytest.raises(DataError, match="no train rows"):
        dataset(4, split=["test", "val"] * 2).split()
    with pytest.raises(DataError, match=r"1 row\(s\) of 'split' name no split: 'left'") as caught:
        dataset(4, split=["train", "left", "test", "train"])
    assert caught.value.where.row == 2
    with pytest.raises(DataError, match="at least 2 folds"):
        list(folds(dataset(), 1))
    with pytest.raises(DataError, match=r"3 group\(s\) cannot be spread over 5"):
        list(folds(dataset(group=np.arange(100) % 3), 5))
    with pytest.raises(SchemaError, match=r"There is no split 'tset'. Did you mean 'test'"):
        dataset().split()["tset"]


def test_rows_keep_their_numbers():
    part = dataset().split()["test"]
    assert np.array_equal(part.row_numbers, dataset().split().splits["test"] + 1)
    assert part.take([1]).row_numbers[0] == part.row_numbers[1]
    mask = np.ones(100, bool)
    mask[:10] = False
    kept = dataset().split().keep(mask)
    assert sum(map(len, kept.splits.values())) == len(kept) == 90
    assert kept.row_numbers[0] == 11
    for name, rows in kept.splits.items():
        whole = dataset().split().splits[name]
        assert np.array_equal(kept.row_numbers[rows] - 1, whole[whole >= 10])
