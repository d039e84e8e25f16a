"""Events as histories: order, splits, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepta.core.errors import DataError, SchemaError
from lepta.core.schema import Kind, Role
from lepta.data import Dataset, require_trainable, validate

EVENTS = {
    "user": ["a", "b", "a", "a", "b", "a", "c"],
    "film": [3, 1, 1, 2, 3, 4, 1],
    "when": [30, 5, 10, 20, 6, 40, 1],
}
READING = {"task": "recommendation", "target": "film", "group": "user", "time_field": "when"}


def test_the_last_event_is_for_testing_and_the_one_before_for_validation() -> None:
    data = Dataset.read(EVENTS, **READING)
    rows = [(r["user"], r["split"], r["history"], r["film"]) for r in data]
    assert rows == [
        ("a", "train", ["1"], "2"),
        ("a", "valid", ["1", "2"], "3"),
        ("a", "test", ["1", "2", "3"], "4"),
        ("b", "train", ["1"], "3"),
        ("c", "train", [], "1"),
    ]
    assert {name: rows.tolist() for name, rows in data.splits.items()} == {
        "train": [0, 3, 4],
        "valid": [1],
        "test": [2],
    }
    assert data.row_numbers.tolist() == [4, 1, 6, 5, 7]
    assert data.schema["history"].kind == Kind.SEQUENCE
    assert data.task.items == ("1", "3", "2", "4")


def test_a_user_in_three_splits_is_no_fault() -> None:
    data = require_trainable(Dataset.read(EVENTS, **READING))
    assert not [issue for issue in validate(data) if issue.severity == "error"]
    others = data.with_task("multiclass")
    assert "group_across_splits" in {issue.code for issue in validate(others)}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 50)), min_size=1))
@settings(max_examples=50, deadline=None)
def test_no_row_knows_what_came_later(events: list[tuple[int, int, int]]) -> None:
    users, items, times = (list(column) for column in zip(*events, strict=True))
    columns = {"user": [f"u{u}" for u in users], "item": [f"i{k}" for k in items], "when": times}
    data = Dataset.read(columns, **READING | {"target": "item"})
    order = np.argsort(times, kind="stable")
    for row in data:
        mine = [f"i{items[k]}" for k in order if f"u{users[k]}" == row["user"]]
        after = {"train": 2 if len(mine) > 2 else 0, "valid": 1, "test": 0}[row["split"]]
        assert [*row["history"], row["item"]] == mine[: len(mine) - after]
    assert sum(r["split"] == "train" for r in data) == len(set(users))


def test_what_says_not_whose_events_these_are_is_refused() -> None:
    with pytest.raises(SchemaError, match="whose events"):
        Dataset.read(EVENTS, task="recommendation", target="film", time_field="when")


def test_an_event_without_a_time_is_refused_by_row() -> None:
    columns = EVENTS | {"when": [30.0, 5, None, 20, 6, 40, 1]}
    with pytest.raises(DataError, match="no time") as refused:
        Dataset.read(columns, **READING)
    assert refused.value.where is not None
    assert refused.value.where.row == 3


def test_events_that_name_a_split_are_refused() -> None:
    columns = EVENTS | {"part": ["train"] * 7}
    with pytest.raises(SchemaError, match="splits does not fit"):
        Dataset.read(columns, split="part", **READING)


@pytest.mark.parametrize("value", [["x", "y"], '["x", "y"]', "x;y"])
def test_sequences_are_lists_or_text(value: object) -> None:
    columns = {"seen": [value, value], "next": ["y", "x"]}
    data = Dataset.read(columns, task="recommendation", target="next", kinds={"seen": "sequence"})
    assert data.column("seen") == [["x", "y"], ["x", "y"]]
    assert data.schema.one(Role.TARGET).kind == Kind.ID
    assert sorted(data.task.items) == ["x", "y"]


def test_a_sequence_of_sequences_is_refused() -> None:
    with pytest.raises(DataError, match="no list of labels"):
        Dataset.read({"seen": [[["x"]], [["y"]]], "next": ["y", "x"]},
                     target="next", kinds={"seen": "sequence"})  # fmt: skip
