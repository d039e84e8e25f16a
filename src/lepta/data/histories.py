"""Events (who took which item, and when) as rows of histories: what was taken, and what came next.

The last event of each user is for testing and the one before for validation (leave-last-out), so
that nobody's future is learned from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import DataError, SchemaError, Where
from lepta.core.schema import Field, Kind, Role, Schema
from lepta.core.values import label_of
from lepta.data.splits import NAMES, codes_of

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset

RECOMMENDATION = "recommendation"
HISTORY, SPLIT = "history", "split"
"""Fields of a row: the items taken before, in order, and which split it belongs to."""
MEASURED = 5_000
"""Most users whose last events are held out, drawn at random; the scores of a whole catalogue for
each of more would fill the memory."""
_HELD_OUT = 2

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """Events in order of user, then time, then as they were read.

    Attributes:
        items: label of each event's item.
        rows: row of each event in the table.
        first: position of each user's first event, and the number of events at the end.
    """

    items: list[str]
    rows: Ints
    first: Ints

    def users(self) -> Iterator[tuple[int, int]]:
        """Yield where each user's events begin and end."""
        yield from zip(self.first[:-1].tolist(), self.first[1:].tolist(), strict=True)


def histories(data: Dataset) -> Dataset:
    """Return rows of a history and the item that came next.

    A table of events, which has a group field (the user), becomes one row a user and split: train
    rows end with the last event but two, valid rows with the last but one, test rows with the last.
    Users with fewer than three events are for training. A table whose rows hold sequences already
    is taken as it is.

    Raises:
        SchemaError: there is neither a group nor a field of sequences, or a split field is given.
        DataError: no event has both a user and an item, or a time is missing.
    """
    if data.schema.one(Role.GROUP) is None:
        return _catalogued(data, Counter(_labels_in(data)))
    if data.schema.one(Role.SPLIT) is not None:
        raise SchemaError(
            "Events are split by time within each user; a field of splits does not fit.",
            fix="Leave split= out, or give it the role 'ignore'.",
        )
    events = read_events(data)
    rng = np.random.default_rng(0)
    users = list(events.users())
    able = [k for k, (begin, end) in enumerate(users) if end - begin > _HELD_OUT]
    drawn = set(rng.permutation(able)[:MEASURED].tolist())
    ends: list[tuple[int, int, str]] = []
    for user, (begin, end) in enumerate(users):
        held = _HELD_OUT if user in drawn else 0
        ends += [(begin, end - held + k, NAMES[k]) for k in range(held + 1)]
    tested = {end - 1 for _, end, split in ends if split == "test"}
    counts = Counter(item for place, item in enumerate(events.items) if place not in tested)
    counts.update(dict.fromkeys(events.items, 0))
    return _catalogued(_assembled(data, events, ends), counts)


def latest_histories(data: Dataset) -> Dataset:
    """Return one row a user of a table of events: all that was taken, and the last item of it.

    Raises:
        DataError: no event has both a user and an item, or a time is missing.
    """
    events = read_events(data)
    last = [(begin, end, "test") for begin, end in events.users()]
    return _assembled(data, events, last, whole=True)


def read_events(data: Dataset) -> Events:
    """Return the events that have a user and an item.

    Raises:
        DataError: there is none, or one has no time; its row is named.
    """
    user, target = data.schema.one(Role.GROUP), data.schema.one(Role.TARGET)
    assert user is not None  # noqa: S101
    assert target is not None  # noqa: S101
    labels = [label_of(value) for value in data.column(target.name)]
    codes = codes_of(data.table[user.name])
    known = np.array([label is not None for label in labels], bool) & (codes >= 0)
    rows = np.flatnonzero(known)
    if not rows.size:
        raise DataError(f"No row has both {user.name!r} and {target.name!r}.")
    time = data.schema.one(Role.TIME)
    moments = np.zeros(len(data)) if time is None else np.asarray(data.numpy(time.name), np.float64)
    gaps = rows[~np.isfinite(moments[rows])]
    if gaps.size:
        raise DataError(
            f"{gaps.size} event(s) have no time.",
            where=Where(row=int(data.row_numbers[gaps[0]]), field=time.name if time else None),
            fix="Fill the times in, or drop the rows.",
        )
    rows = rows[np.lexsort((moments[rows], codes[rows]))]
    starts = np.flatnonzero(np.diff(codes[rows], prepend=-1))
    return Events([str(labels[row]) for row in rows], rows, np.append(starts, len(rows)))


def _assembled(
    data: Dataset, events: Events, ends: list[tuple[int, int, str]], *, whole: bool = False
) -> Dataset:
    """Return rows that end with the events before ``ends``; a ``whole`` history holds that too."""
    import pyarrow as pa

    user, target = data.schema.one(Role.GROUP), data.schema.one(Role.TARGET)
    assert user is not None  # noqa: S101
    assert target is not None  # noqa: S101
    last = np.array([end - 1 for _, end, _ in ends])
    seen = [events.items[begin : end if whole else end - 1] for begin, end, _ in ends]
    table = pa.table(
        {
            HISTORY: pa.array(seen, pa.large_list(pa.large_string())),
            user.name: data.table[user.name].take(events.rows[last]),
            SPLIT: pa.array([split for *_, split in ends], pa.large_string()),
            target.name: pa.array([events.items[place] for place in last], pa.large_string()),
        }
    )
    reason = f"items of {target.name!r} taken before, the latest last"
    fields = (
        Field(name=HISTORY, kind=Kind.SEQUENCE, reason=reason),
        user,
        Field(name=SPLIT, kind=Kind.CATEGORY, role=Role.SPLIT, reason="by time, within each user"),
        target,
    )
    return replace(
        data,
        table=table,
        schema=Schema(fields=fields),
        splits={},
        rows=data.row_numbers[events.rows[last]] - 1,
    )


def _labels_in(data: Dataset) -> Iterator[str]:
    """Yield the items of a table whose rows are histories."""
    found = [field for field in data.schema.inputs if field.kind == Kind.SEQUENCE]
    target = data.schema.one(Role.TARGET)
    if len(found) != 1 or target is None:
        raise SchemaError(
            "Recommending needs to know whose events these are.",
            fix="Name the field of the user with group=, that of the item with target= and that of "
            "the time with time_field=.",
        )
    for history in data.column(found[0].name):
        yield from history or ()
    yield from (label for v in data.column(target.name) if (label := label_of(v)) is not None)


def _catalogued(data: Dataset, counts: Counter[str]) -> Dataset:
    """Return the dataset with its task, which holds the catalogue, the most popular item first."""
    wished: dict[str, Any] = dict(data.wish[1])
    items = tuple(sorted(counts, key=lambda item: (-counts[item], item)))
    return data.with_task(RECOMMENDATION, **{"items": items, **wished})
