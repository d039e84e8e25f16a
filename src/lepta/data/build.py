"""From what a source gave to a clean table and its schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lepta.core.errors import DataError, SchemaError, Where, suggest
from lepta.core.schema import ARRAYS, MEDIA, Field, Kind, Role, Schema
from lepta.core.values import label_of
from lepta.data.boxes import classes_in, gather_boxes, holds_boxes
from lepta.data.clean import Cleaned, clean_column, compact_dates
from lepta.data.infer import Facts, guess, kind_of
from lepta.data.issues import Issue
from lepta.data.labels import MULTILABEL, gather_labels, holds_labels, labels_in, sequences
from lepta.data.masks import values_of
from lepta.data.media import Decoder, Guess, choose_decoder, guess_media, unit_of
from lepta.data.options import ReadOptions
from lepta.data.sources import Raw, check_names
from lepta.data.target import classes_of, natural, target_kind
from lepta.tasks import TASKS

_FEW_CLASSES = 100
_MAPS = (Kind.MASK, Kind.IMAGE)


@dataclass(frozen=True)
class Built:
    """A clean table, its schema and what was noticed on the way."""

    table: Any
    schema: Schema
    decoders: dict[str, Decoder]
    issues: tuple[Issue, ...]


def build(raw: Raw, options: ReadOptions) -> Built:
    """Clean the columns of ``raw`` and infer the schema.

    Raises:
        SchemaError: an option names no column, or a column cannot be what an option says.
    """
    options = _with_target_kind(options)
    table = _flat(raw.table)
    if options.task == MULTILABEL:
        separator = str(options.task_options.get("separator", ""))
        table = gather_labels(table, options.target, separator)
    target = options.target or raw.target
    asked = {**raw.kinds, **options.kinds}.get(target or "") == Kind.BOXES
    table = gather_boxes(table, target, asked=asked)
    roles = _given_roles(raw, options, list(table.column_names))
    cleaned = {
        name: clean_column(
            name,
            table[name],
            is_text=raw.is_text,
            is_target=roles.get(name) == Role.TARGET,
            is_label=options.kinds.get(name) in (Kind.CATEGORY, Kind.TEXT, Kind.ID),
            form=options.formats.get(name, ""),
        )
        for name in table.column_names
    }
    columns = {
        name: _coerced(name, done, options.kinds.get(name)) for name, done in cleaned.items()
    }
    media = _media(columns, raw, options)
    fields = [_field(name, columns, media, roles, raw, options) for name in columns]
    fields = [_with_reason(field, cleaned[field.name]) for field in fields]
    fields = [_with_unit(field, columns[field.name], raw) for field in fields]
    issues = [*raw.issues, *(issue for done in cleaned.values() for issue in done.issues)]
    issues += [issue for field in fields for issue in _hints(field, roles)]
    return Built(
        table=_table(columns),
        schema=_checked(Schema(fields=tuple(fields))),
        decoders=_decoders(fields, columns, raw),
        issues=tuple(issues),
    )


def _with_target_kind(options: ReadOptions) -> ReadOptions:
    """Return the options with the kind of target that the task needs, where it needs one."""
    wanted = TASKS.get(options.task).target_kind if options.task else None
    if wanted is None or options.target is None:
        return options
    return options.model_copy(update={"kinds": {options.target: wanted, **options.kinds}})


def _flat(table: Any) -> Any:
    import pyarrow as pa

    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table.rename_columns(check_names(table.column_names))


def _table(columns: dict[str, Any]) -> Any:
    import pyarrow as pa

    return pa.table(columns)


def _given_roles(raw: Raw, options: ReadOptions, columns: list[str]) -> dict[str, Role]:
    """Return the roles that options give, each column checked to exist and named once."""
    named = {
        Role.TARGET: options.target,
        Role.GROUP: options.group,
        Role.TIME: options.time_field,
        Role.WEIGHT: options.weight,
        Role.SPLIT: options.split,
    }
    if options.target is None and Role.TARGET not in options.roles.values():
        named[Role.TARGET] = raw.target
    roles: dict[str, Role] = {}
    pairs = [(name, role) for role, name in named.items() if name is not None]
    for name, role in [*pairs, *options.roles.items()]:
        _require(name, columns, role.value)
        if roles.get(name, role) != role:
            raise SchemaError(
                f"The column {name!r} cannot be both {roles[name].value} and {role.value}.",
                where=Where(field=name),
                fix="Give it one role.",
            )
        roles[name] = role
    for name in options.kinds:
        _require(name, columns, "kind")
    return roles


def _require(name: str, columns: list[str], purpose: str) -> None:
    if name not in columns:
        raise SchemaError(
            f"There is no column {name!r} (asked for as {purpose}).{suggest(name, columns)}",
            where=Where(field=name),
            fix=f"The columns are: {', '.join(columns[:50])}.",
        )


def _coerced(name: str, done: Cleaned, kind: Kind | None) -> Any:
    """Return a column in the type that a kind asked for by the user needs."""
    if kind is None:
        dates = compact_dates(name, done.column)
        return done.column if dates is None else dates
    if kind == Kind.SEQUENCE:
        return sequences(name, done.column)
    return _plain(name, done.column, kind)


def _plain(name: str, column: Any, kind: Kind) -> Any:
    """Return a column of numbers or of points in time as such; any other as it is."""
    import pyarrow as pa

    is_string = pa.types.is_large_string(column.type)
    empty = {Kind.NUMBER: pa.float64(), Kind.DATETIME: pa.timestamp("us")}
    if is_string and kind in empty and column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), empty[kind])])
    if kind == Kind.NUMBER and is_string:
        raise _unlike(name, column, "numbers")
    if kind == Kind.NUMBER and pa.types.is_boolean(column.type):
        return column.cast(pa.int64())
    if kind == Kind.DATETIME and is_string:
        raise _unlike(name, column, "points in time")
    if kind == Kind.DATETIME and pa.types.is_integer(column.type):
        dates = compact_dates(name, column, certain=True)
        if dates is not None:
            return dates
        return pa.compute.multiply(column, 1_000_000).cast(pa.timestamp("us"))
    return column


def _unlike(name: str, column: Any, wanted: str) -> SchemaError:
    import pyarrow.compute as pc

    from lepta.data.clean import _NUMBER

    fits = pc.fill_null(pc.match_substring_regex(column, _NUMBER), True)
    wrong = pc.indices_nonzero(pc.invert(fits)).to_pylist()
    row = wrong[0] if wrong else 0
    return SchemaError(
        f"The values of {name!r} are not {wanted}: {column[row].as_py()!r}.",
        where=Where(row=row + 1, field=name),
        fix="Mend the values, leave unknown ones empty, or give another kind.",
    )


def _media(columns: dict[str, Any], raw: Raw, options: ReadOptions) -> dict[str, Guess]:
    given = {**raw.kinds, **options.kinds}
    guesses = {}
    for name, column in columns.items():
        if name in given:
            if given[name] in ARRAYS - {Kind.TEXT}:
                guesses[name] = Guess(given[name], "given")
            continue
        found = guess_media(name, column, raw.files)
        if found is not None:
            guesses[name] = found
    return guesses


def _field(
    name: str,
    columns: dict[str, Any],
    media: dict[str, Guess],
    roles: dict[str, Role],
    raw: Raw,
    options: ReadOptions,
) -> Field:
    facts = Facts(
        name=name,
        column=columns[name],
        media=media.get(name),
        all_media=frozenset(guess.kind for guess in media.values()),
        all_names=frozenset(column.casefold() for column in columns),
    )
    role = roles.get(name)
    kind = options.kinds.get(name)
    if role == Role.TARGET:
        return _target(facts, kind, options.positive, raw)
    meaning = kind_of(facts) if role is not None or kind is not None else guess(facts)
    field = Field(
        name=name,
        kind=kind or (Kind.ID if role == Role.GROUP else meaning.kind),
        role=role or meaning.role,
        reason=_reason(role, kind, meaning.reason),
    )
    return field.model_copy(update={"classes": _classes(field, facts)})


def _reason(role: Role | None, kind: Kind | None, found: str) -> str:
    if kind is not None:
        return "given"
    return found if role is None else f"given as {role.value}; {found}"


def _classes(field: Field, facts: Facts) -> tuple[str, ...]:
    if field.kind != Kind.CATEGORY or not facts.is_plain or facts.distinct > _FEW_CLASSES:
        return ()
    labels = {label_of(value) for value in facts.column.unique().to_pylist()}
    return tuple(sorted((label for label in labels if label is not None), key=natural))


def _target(facts: Facts, kind: Kind | None, positive: str | None, raw: Raw) -> Field:
    if kind == Kind.MASK or (kind is None and facts.media and facts.media.kind in _MAPS):
        reason = "given" if kind or facts.media is None else f"the target; {facts.media.reason}"
        values = values_of(facts.name, facts.column, raw.files)
        return Field(
            name=facts.name, kind=Kind.MASK, role=Role.TARGET, reason=reason, classes=values
        )
    classes: tuple[str, ...]
    if holds_boxes(facts.column):
        classes = tuple(sorted(classes_in(facts.column), key=natural))
        why = f"the target; boxes of {len(classes)} class(es)"
        return Field(
            name=facts.name, kind=Kind.BOXES, role=Role.TARGET, reason=why, classes=classes
        )
    if holds_labels(facts.column):
        labels = {label for value in facts.column.to_pylist() for label in labels_in(value)}
        classes = tuple(sorted(labels, key=natural))
        why = f"the target; lists of {len(classes)} labels"
        return Field(
            name=facts.name, kind=Kind.CATEGORY, role=Role.TARGET, reason=why, classes=classes
        )
    found, reason = target_kind(facts.column, facts.name)
    if positive is not None:
        found, reason = Kind.CATEGORY, "the target; its positive class is given"
    chosen, why = (kind, "given") if kind is not None else (found, reason)
    classes = ()
    if not facts.is_plain:
        raise SchemaError(
            f"Values of type {facts.column.type} cannot be the target.",
            where=Where(field=facts.name),
            fix="Name a column of numbers or labels.",
        )
    if chosen == Kind.CATEGORY:
        classes = classes_of(facts.column.unique().to_pylist(), positive, facts.name)
    return Field(name=facts.name, kind=chosen, role=Role.TARGET, reason=why, classes=classes)


def _with_reason(field: Field, done: Cleaned) -> Field:
    field = field.model_copy(update={"format": done.form})
    if not done.reason or field.reason == "given":
        return field
    return field.model_copy(update={"reason": f"{field.reason}; {done.reason}"})


def _with_unit(field: Field, column: Any, raw: Raw) -> Field:
    if field.kind not in MEDIA or field.role != Role.INPUT:
        return field
    return field.model_copy(update={"unit": unit_of(field.kind, column, raw.files)})


def _hints(field: Field, given: dict[str, Role]) -> list[Issue]:
    """Say which columns were set aside for a reason that the reader may want to act on."""
    if "looks like a group" in field.reason and Role.GROUP not in given.values():
        return [
            Issue(
                code="group_hint",
                severity="warning",
                text=f"{field.name!r} looks like a group, but no group was given: rows of one "
                f"{field.name!r} may stand in both train and test.",
                where=field.name,
                fix=f"Give group={field.name!r}.",
            )
        ]
    if field.role == Role.IGNORE and "describes the file" in field.reason:
        return [
            Issue(
                code="file_metadata",
                severity="info",
                text=f"{field.name!r} is ignored: {field.reason}.",
                where=field.name,
                fix=f"Give roles={{{field.name!r}: 'input'}} to use it nevertheless.",
            )
        ]
    return []


def _checked(schema: Schema) -> Schema:
    for role in (Role.TARGET, Role.GROUP, Role.TIME, Role.WEIGHT, Role.SPLIT):
        schema.one(role)
    for role, kinds in (
        (Role.TIME, (Kind.DATETIME, Kind.NUMBER)),
        (Role.WEIGHT, (Kind.NUMBER,)),
    ):
        field = schema.one(role)
        if field is not None and field.kind not in kinds:
            raise SchemaError(
                f"The {role.value} field must be of kind {' or '.join(k.value for k in kinds)}; "
                f"{field.name!r} is of kind {field.kind.value}.",
                where=Where(field=field.name),
                fix="Name another column, or mend its values.",
            )
    return schema


def _decoders(fields: list[Field], columns: dict[str, Any], raw: Raw) -> dict[str, Decoder]:
    decoders = {}
    for field in fields:
        if field.kind not in MEDIA or field.role not in (Role.INPUT, Role.TARGET):
            continue
        _some_there(field, columns[field.name], raw)
        chosen = choose_decoder(field.kind, columns[field.name], raw.files)
        if chosen is not None:
            decoders[field.name] = chosen
    return decoders


def _some_there(field: Field, column: Any, raw: Raw) -> None:
    """Refuse a column of paths none of which leads to a file."""
    import pyarrow as pa

    if not pa.types.is_large_string(column.type):
        return
    paths = column.drop_null().slice(0, 100).to_pylist()
    if paths and not any(raw.files.exists(path) for path in paths):
        missing = len(column) - column.null_count if len(paths) < 100 else f"{len(paths)} or more"
        row = column.is_valid().index(True).as_py() + 1
        raise DataError(
            f"No file of {field.name!r} can be found ({missing} are missing).",
            where=Where(file=paths[0], row=row, field=field.name),
            fix="Paths are taken relative to the folder of the table, or inside a zip file beside "
            "it; put the files there, or correct the paths.",
        )
