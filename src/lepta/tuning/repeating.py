"""Repeat a run from its bundle: read the data again, and see that nothing has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lepta.bundle import Bundle
from lepta.core.errors import ConfigError, DataError
from lepta.core.events import Context
from lepta.core.schema import MEDIA, Schema
from lepta.data import Dataset
from lepta.data.splits import hash_of
from lepta.tuning.options import FitOptions
from lepta.tuning.recipe import Machine, Recipe, recipe_of, unpack_rows

ELSEWHERE = ("device", "threads", "engine", "address", "checkpoint")
"""Options that a repeat may change: where it runs, not what."""
_SHOWN = 5


def reread(
    bundle: Bundle, data: Any, options: Mapping[str, Any], context: Context
) -> tuple[Dataset, Recipe]:
    """Return the dataset that ``bundle`` was made of, and the recipe to follow.

    Args:
        bundle: what a fit made.
        data: None to read it where it was read; else a dataset, or anything that
            ``Dataset.read`` takes, which is then read with the options recorded.
        options: fields of ``FitOptions`` that say where to run; see :data:`ELSEWHERE`.
        context: progress.

    Raises:
        BundleError: the bundle tells too little.
        ConfigError: an option would make another run of it, or the data were in memory.
        DataError: the data cannot be read.
    """
    recipe = recipe_of(bundle)
    for name in options:
        if name not in ELSEWHERE:
            raise ConfigError(
                f"The option {name!r} cannot be given for a repeat: the bundle tells it.",
                fix=f"Leave it out (only {', '.join(ELSEWHERE)} may be given), "
                "or fit anew without the bundle.",
            )
    _warn(recipe, options, context)
    fit = FitOptions.parse(recipe.fit.model_dump() | dict(options))
    if not isinstance(data, Dataset):
        data = _read(recipe, data, context)
        data = _with_schema(data, recipe.columns)
    return unpack_rows(bundle, data), recipe.model_copy(update={"fit": fit})


def _read(recipe: Recipe, data: Any, context: Context) -> Dataset:
    origin = recipe.read
    if data is None:
        data = origin.source if origin is not None else None
    if data is None:
        raise ConfigError(
            "The data that the bundle was made of were in memory.",
            fix="Give them: lepta.fit(data, from_bundle=...), or `lepta fit DATA --from ...`.",
        )
    options = {} if origin is None else origin.options.model_dump()
    return Dataset.read(data, context=context, **options)


def _with_schema(data: Dataset, schema: Schema) -> Dataset:
    """Give the fields the roles they had, where they were changed after reading."""
    kinds, recorded = ([(f.name, f.kind) for f in found] for found in (data.schema, schema))
    return data.with_schema(schema) if kinds == recorded else data


def _warn(recipe: Recipe, options: Mapping[str, Any], context: Context) -> None:
    different = recipe.machine.differences(Machine.here())
    different += [
        f"{name} {value} instead of {getattr(recipe.fit, name)}"
        for name, value in options.items()
        if value != getattr(recipe.fit, name)
    ]
    if recipe.fit.time is not None:
        different.append("a time budget, whose end depends on the speed of the machine")
    if different:
        shown = ", ".join(different[:_SHOWN])
        more = f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
        context.say(f"The repeat may differ in its last bits: {shown}{more}.", "warning")


def require_same(data: Dataset, recipe: Recipe, fingerprint: str) -> None:
    """Refuse data that are not those of the recipe; ``data`` has its final splits.

    Raises:
        DataError: fields, rows, values, files or splits differ; which, is told.
    """
    differences = list(_differences(data, recipe))
    if not differences and data.fingerprint != fingerprint:
        differences = ["their hash is another"]
    if differences:
        raise DataError(
            f"The data are not those that the bundle was made of: {'; '.join(differences)}.",
            fix="Bring the data back to what they were, or fit anew without the bundle.",
        )


def _differences(data: Dataset, recipe: Recipe) -> Iterator[str]:
    before, now = recipe.hashes, data.digests()
    yield from (f"the field {name!r} is gone" for name in before if name not in now)
    yield from (f"the field {name!r} is new" for name in now if name not in before)
    kinds = {field.name: field.kind for field in recipe.columns}
    for field in data.schema:
        if kinds.get(field.name, field.kind) != field.kind:
            yield f"{field.name!r} is read as {field.kind.value}, not {kinds[field.name].value}"
    if len(data) != recipe.rows:
        yield f"there are {len(data)} rows instead of {recipe.rows}"
        return
    changed = [name for name in before if not now.get(name, "").startswith(before[name])]
    for name in [name for name in changed if name in now][:_SHOWN]:
        files = data.schema[name].kind in MEDIA
        yield f"{'files' if files else 'values'} of {name!r} have changed"
    if not changed:
        yield from (
            f"the rows of the split {name!r} are others"
            for name, recorded in recipe.splits.items()
            if hash_of(data.splits[name]) != recorded
        )


def tell_identity(bundle: Bundle, repeated: Bundle, context: Context) -> None:
    """Say whether the repeat gave the same graph, bit for bit."""
    if bundle.read("model.onnx") == repeated.read("model.onnx"):
        context.say("The graph is bit-identical to that of the bundle.")
    else:
        context.say("The graph differs from that of the bundle.", "warning")


def opened(bundle: Bundle | Path | str) -> Bundle:
    """Return a bundle, loaded where a path is given."""
    return bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
