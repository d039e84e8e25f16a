"""What a table means: fields, each with a kind (what it holds) and a role (what it is for)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, model_validator

from lepta.core.errors import SchemaError, Where, suggest


class Kind(StrEnum):
    """What the values of a field are."""

    NUMBER = "number"
    CATEGORY = "category"
    TEXT = "text"
    IMAGE = "image"
    VOLUME = "volume"
    AUDIO = "audio"
    SERIES = "series"
    SEQUENCE = "sequence"
    DATETIME = "datetime"
    ID = "id"
    MASK = "mask"
    BOXES = "boxes"


MEDIA = frozenset({Kind.IMAGE, Kind.VOLUME, Kind.AUDIO, Kind.MASK})
"""Kinds whose values are files to decode (paths, bytes or arrays), not plain values."""

ARRAYS = MEDIA | {Kind.TEXT, Kind.SERIES, Kind.SEQUENCE}
"""Kinds of which every value is an array of its own in the graph: media, texts, series (of numbers)
and sequences (of labels, such as the films that somebody saw, the latest last)."""


class Role(StrEnum):
    """What a field is for."""

    INPUT = "input"
    TARGET = "target"
    GROUP = "group"
    TIME = "time"
    WEIGHT = "weight"
    SPLIT = "split"
    IGNORE = "ignore"


class Field(BaseModel):
    """One column of a dataset.

    Attributes:
        name: the column's name, unique in its schema.
        kind: what its values are.
        role: what it is for.
        reason: why kind and role were chosen ("given", or the evidence found).
        unit: physical unit of the values ("HU", "mm", "EUR"), empty when unknown.
        classes: the known values of a category, in order; empty for other kinds.
        format: form of date-times that were text, such as "%d/%m/%Y"; empty for ISO 8601.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Kind
    role: Role = Role.INPUT
    reason: str = "given"
    unit: str = ""
    classes: tuple[str, ...] = ()
    format: str = ""


class Schema(BaseModel):
    """The fields of a dataset, in column order, with unique names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: tuple[Field, ...]

    @model_validator(mode="after")
    def _unique(self) -> Schema:
        names = [field.name for field in self.fields]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SchemaError(
                f"Field names must be unique; {', '.join(map(repr, twice))} stands more than once.",
                where=Where(field=twice[0]),
                fix="Rename or drop one of the columns.",
            )
        return self

    def __iter__(self) -> Iterator[Field]:  # type: ignore[override]
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __contains__(self, name: object) -> bool:
        return any(field.name == name for field in self.fields)

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise SchemaError(
            f"There is no field {name!r}.{suggest(name, self.names)}",
            where=Where(field=name),
            fix=f"The fields are: {', '.join(self.names)}.",
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all fields, in column order."""
        return tuple(field.name for field in self.fields)

    def with_role(self, role: Role) -> tuple[Field, ...]:
        """Return the fields that have ``role``, in column order."""
        return tuple(field for field in self.fields if field.role == role)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The fields a model may look at."""
        return self.with_role(Role.INPUT)

    def one(self, role: Role) -> Field | None:
        """Return the only field with ``role``, or None.

        Raises:
            SchemaError: several fields have the role.
        """
        found = self.with_role(role)
        if len(found) > 1:
            raise SchemaError(
                f"Only one field can be the {role.value}; got {', '.join(f.name for f in found)}.",
                fix="Give the others the role 'input' or 'ignore'.",
            )
        return found[0] if found else None

    def replace(self, name: str, **changes: object) -> Schema:
        """Return a copy in which the field ``name`` has ``changes``."""
        changed = self[name].model_copy(update=changes)
        return Schema(fields=tuple(changed if f.name == name else f for f in self.fields))
