import numpy as np
import pytest

from lepta.data import Dataset
from lepta.tuning.search.folding import plan_folds


def _data(rows, **more):
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=rows), "y": rng.choice(["n", "p"], rows), **more}
    return Dataset.read(columns, target="y")


@pytest.mark.parametrize(("rows", "times"), [(200, 2), (4000, 1)])
def test_every_row_is_held_out_as_often_as_folds_repeat(rows, times):
    data = _data(rows).split(valid=0.2, test=0.2)
    folds = plan_folds(data, data.task, 0, given=False)
    assert len(folds.rows) == rows - len(data.splits["test"])
    held = np.concatenate([held for _, held in folds.pairs])
    assert (np.bincount(held, minlength=len(folds.rows)) == times).all()
    assert len(folds.pairs) == times * folds.each
    for train, out in folds.pairs:
        assert not set(train) & set(out)


def test_no_group_is_learned_from_and_held_out():
    groups = np.repeat(np.arange(30), 10).astype(str)
    data = Dataset.read(
        {"a": np.arange(300.0), "g": groups, "y": np.tile(["n", "p"], 150)}, target="y", group="g"
    ).split(valid=0.2, test=0.2)
    folds = plan_folds(data, data.task, 0, given=False)
    names = np.array(folds.rows.column("g"))
    for train, out in folds.pairs:
        assert not set(names[train]) & set(names[out])


def test_given_valid_rows_are_the_only_ones_held_out():
    data = _data(100).split(valid=0.3, test=0.2)
    folds = plan_folds(data, data.task, 0, given=True)
    assert not folds.crossed
    ((train, held),) = folds.pairs
    assert len(train) == len(data.splits["train"])
    np.testing.assert_array_equal(folds.rows.take(held).numpy("a"), data["valid"].numpy("a"))


def test_rows_in_time_are_held_out_at_the_end():
    moments = np.datetime64("2024-01-01") + np.arange(200)
    columns = {"t": moments, "a": np.arange(200.0), "y": np.tile(["n", "p"], 100)}
    data = Dataset.read(columns, target="y", roles={"t": "time"}).split(valid=0.2, test=0.2)
    folds = plan_folds(data, data.task, 0, given=False)
    ((train, held),) = folds.pairs
    times = folds.rows.numpy("t")
    assert times[train].max() < times[held].min()
