"""Say of every column what it holds and what it is for, each time with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lepta.core.schema import ARRAYS, Kind, Role
from lepta.data import names
from lepta.data.clean import looks_textual
from lepta.data.media import Guess, has_media_suffix, sample

CODES = 12
"""Distinct whole numbers up to which a column named like a code is a category."""
_TEXTS = 200


@dataclass(frozen=True)
class Facts:
    """What is known of one column before its meaning is guessed."""

    name: str
    column: Any
    media: Guess | None
    all_media: frozenset[Kind]
    all_names: frozenset[str]

    @cached_property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.column)

    @cached_property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - int(self.column.null_count)

    @cached_property
    def distinct(self) -> int:
        """Distinct values, missing ones not counted."""
        import pyarrow.compute as pc

        return int(pc.count_distinct(self.column).as_py())

    @cached_property
    def is_number(self) -> bool:
        """Whether the values are numbers."""
        import pyarrow as pa

        return bool(pa.types.is_integer(self.column.type) or pa.types.is_floating(self.column.type))

    @cached_property
    def is_whole(self) -> bool:
        """Whether the values are whole numbers."""
        import pyarrow.compute as pc

        if not self.is_number:
            return False
        return pc.all(pc.equal(pc.floor(self.column), self.column)).as_py() is True

    @cached_property
    def is_string(self) -> bool:
        """Whether the values are text."""
        import pyarrow as pa

        return bool(pa.types.is_large_string(self.column.type))

    @cached_property
    def is_plain(self) -> bool:
        """Whether values can be counted (they are no lists, bytes or arrays)."""
        import pyarrow as pa

        kind = self.column.type
        return (
            self.is_number
            or self.is_string
            or bool(pa.types.is_timestamp(kind) or pa.types.is_boolean(kind))
        )


@dataclass(frozen=True)
class Meaning:
    """Kind, role and the reason for both."""

    kind: Kind
    role: Role
    reason: str


Rule = Callable[[Facts], Meaning | None]


def guess(facts: Facts) -> Meaning:
    """Return the meaning of a column by the first rule that knows it."""
    for rule in _RULES:
        meaning = rule(facts)
        if meaning is not None:
            return meaning
    kind = str(facts.column.type)
    return Meaning(Kind.ID, Role.IGNORE, f"values of type {kind} are not understood")


def kind_of(facts: Facts) -> Meaning:
    """Return the kind of a column whose role is given; never ignores it."""
    for rule in (_media, _time, _boolean, _number, _text):
        meaning = rule(facts)
        if meaning is not None:
            return Meaning(meaning.kind, Role.INPUT, meaning.reason)
    if not facts.is_plain:
        return Meaning(Kind.ID, Role.IGNORE, f"values of type {facts.column.type}")
    return Meaning(Kind.CATEGORY, Role.INPUT, f"{facts.distinct} distinct values")


def _empty(facts: Facts) -> Meaning | None:
    if facts.present:
        return None
    return Meaning(Kind.CATEGORY, Role.IGNORE, "it has no values")


def _media(facts: Facts) -> Meaning | None:
    if facts.media is None:
        return None
    role = Role.INPUT if facts.media.kind in ARRAYS - {Kind.MASK} else Role.IGNORE
    return Meaning(facts.media.kind, role, facts.media.reason)


def _constant(facts: Facts) -> Meaning | None:
    if not facts.is_plain or facts.distinct > 1 or facts.rows < 2:
        return None
    kind = Kind.NUMBER if facts.is_number else Kind.CATEGORY
    value = facts.column.drop_null()[0].as_py()
    if facts.present < facts.rows:
        return Meaning(
            kind, Role.IGNORE, f"every value is {value!r}, or missing in "
            f"{facts.rows - facts.present} row(s)"
        )  # fmt: skip
    return Meaning(kind, Role.IGNORE, f"constant: every value is {value!r}")


def _split(facts: Facts) -> Meaning | None:
    if not (facts.is_string and names.names_splits(facts.name) and facts.distinct <= 8):
        return None
    values = [names.split_name(value) for value in facts.column.drop_null().unique().to_pylist()]
    if None in values or "train" not in values:
        return None
    found = ", ".join(sorted({value for value in values if value}))
    return Meaning(Kind.CATEGORY, Role.SPLIT, f"its name and values ({found}) tell the splits")


def _of_file(facts: Facts) -> Meaning | None:
    if not facts.all_media or facts.media is not None or not facts.is_plain:
        return None
    paths = facts.is_string and all(map(has_media_suffix, sample(facts.column, 20)))
    length = Kind.AUDIO in facts.all_media and facts.name.casefold() in ("seconds", "duration")
    if not (paths or length or names.describes_file(facts.name, set(facts.all_names))):
        return None
    kind = Kind.NUMBER if facts.is_number else Kind.ID
    return Meaning(
        kind,
        Role.IGNORE,
        "it describes the file, not the subject: a model could read the label off it",
    )


def _group(facts: Facts) -> Meaning | None:
    if not facts.is_plain or not names.names_group(facts.name):
        return None
    if facts.distinct >= facts.rows:
        return None
    return Meaning(
        Kind.ID,
        Role.IGNORE,
        f"it looks like a group ({facts.distinct} distinct values in {facts.rows} rows): give "
        f"group={facts.name!r} to keep equal ones in one split",
    )


def _time(facts: Facts) -> Meaning | None:
    import pyarrow as pa

    if not pa.types.is_timestamp(facts.column.type):
        return None
    return Meaning(Kind.DATETIME, Role.INPUT, "points in time")


def _boolean(facts: Facts) -> Meaning | None:
    import pyarrow as pa

    if not pa.types.is_boolean(facts.column.type):
        return None
    return Meaning(Kind.CATEGORY, Role.INPUT, "true or false")


def _row_id(facts: Facts) -> Meaning | None:
    if not (facts.is_whole or facts.is_string) or facts.distinct < max(3, facts.present):
        return None
    if facts.is_whole and _counts_rows(facts):
        return Meaning(Kind.ID, Role.IGNORE, "it counts the rows")
    if names.names_row(facts.name) or names.names_group(facts.name):
        return Meaning(Kind.ID, Role.IGNORE, "named like an identifier, and different in every row")
    return None


def _counts_rows(facts: Facts) -> bool:
    if facts.column.null_count or facts.rows < 20 or names.names_time(facts.name):
        return False
    values = facts.column.to_numpy()
    return bool((np.diff(values) == 1).all()) and values[0] in (0, 1)


def _number(facts: Facts) -> Meaning | None:
    if not facts.is_number:
        return None
    if facts.is_whole and names.names_row(facts.name) and facts.distinct < facts.present:
        if facts.distinct <= max(50, facts.rows // 5):
            return Meaning(Kind.CATEGORY, Role.INPUT, "an identifier that repeats: its size means "
                           "nothing")  # fmt: skip
        return Meaning(Kind.ID, Role.IGNORE, f"an identifier with {facts.distinct} values")
    if facts.is_whole and facts.distinct <= CODES and names.names_codes(facts.name):
        return Meaning(
            Kind.CATEGORY, Role.INPUT, f"{facts.distinct} whole numbers, named like a code"
        )
    if facts.is_whole and facts.distinct <= CODES:
        return Meaning(
            Kind.NUMBER, Role.INPUT, f"{facts.distinct} whole numbers, not named like a code"
        )
    return Meaning(Kind.NUMBER, Role.INPUT, f"numbers, {facts.distinct} of them distinct")


def _text(facts: Facts) -> Meaning | None:
    if not facts.is_string or facts.distinct <= min(50, 0.5 * facts.present):
        return None
    values = sample(facts.column, _TEXTS)
    if not looks_textual(values):
        return None
    mean = sum(len(value.split()) for value in values) / len(values)
    return Meaning(Kind.TEXT, Role.INPUT, f"sentences of {mean:.0f} words on average")


def _string(facts: Facts) -> Meaning | None:
    if not facts.is_string:
        return None
    if names.names_row(facts.name) and facts.distinct > CODES:
        return Meaning(Kind.ID, Role.IGNORE, f"an identifier with {facts.distinct} values")
    if facts.present >= 20 and facts.distinct > max(50, 0.5 * facts.present):
        return Meaning(
            Kind.ID,
            Role.IGNORE,
            f"{facts.distinct} distinct values in {facts.present} rows name rows rather than "
            "describe them",
        )
    if facts.present >= 20 and facts.distinct > 0.9 * facts.present:
        return Meaning(Kind.ID, Role.IGNORE, "nearly every row has a value of its own")
    return Meaning(Kind.CATEGORY, Role.INPUT, f"{facts.distinct} distinct values")


_RULES: tuple[Rule, ...] = (
    _empty,
    _media,
    _split,
    _of_file,
    _group,
    _constant,
    _time,
    _boolean,
    _row_id,
    _number,
    _text,
    _string,
)
