"""The rows that a compression works with: to learn from, to search by, to confirm on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lepta.compression.options import CompressOptions
from lepta.core.errors import CompressError, ConfigError, LeptaError
from lepta.core.events import Context
from lepta.core.schema import Role
from lepta.data import Dataset, require_trainable
from lepta.data.splits import folds, hash_of
from lepta.evaluation.evaluating import recorded_reading

if TYPE_CHECKING:
    from lepta.bundle import Bundle

_NETWORK = "workshop/network.safetensors"
"""Member of what was not fitted again on valid rows: networks need them to know when to stop."""
_PARTS = 3
_LEAST = 6


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a compression; no row stands in two of them, but for ``test``.

    Attributes:
        train: steps may learn from them.
        search: candidates are compared by them.
        confirm: twice as many, by which the few that are left are confirmed; nothing else sees
            them.
        test: the model that comes out is measured on them.
        judges: names of the splits that ``search`` and ``confirm`` are made of.
    """

    train: Dataset
    search: Dataset
    confirm: Dataset
    test: Dataset
    judges: tuple[str, ...]


def rows_of(
    bundle: Bundle,
    data: Any,
    options: CompressOptions,
    context: Context,
    reading: Mapping[str, Any] | None = None,
) -> Rows:
    """Return the rows, split as they were when the bundle was fitted.

    Args:
        bundle: the model given.
        data: a dataset, or what ``Dataset.read`` takes, read as it was then.
        options: of the compression.
        context: progress.
        reading: options of reading that differ from those recorded in the bundle.

    Raises:
        CompressError: no rows are left that the model has not learned from, or the rows are split
            otherwise than they were.
        DataError: the data cannot be read, or is not labelled.
    """
    config = bundle.manifest.lineage.config
    fit = config.get("fit") or {}
    data = _read(bundle, data, reading or {}, context)
    data = require_trainable(data, drop_missing=bool(fit.get("drop_missing")))
    if not {"train", "valid"} <= set(data.splits):
        shares = {name: fit[name] for name in ("valid", "test", "seed") if name in fit}
        data = data.split(**shares)
    _require_same_splits(bundle, data, config, context)
    judges = options.judges or _unseen(bundle, data, fit)
    for name in judges:
        if name == "train" or name not in data.splits:
            raise CompressError(
                f"The rows of {name!r} cannot judge.",
                fix="Name splits that the model has not learned from: valid, test.",
            )
    unseen = data.take(np.sort(np.concatenate([data.splits[name] for name in judges])))
    search, confirm = _apart(unseen, options.seed)
    test = data.splits.get("test", np.empty(0, np.int64))
    measured = data.take(test) if len(test) else confirm
    return Rows(data["train"], search, confirm, measured, tuple(judges))


def _read(bundle: Bundle, data: Any, reading: Mapping[str, Any], context: Context) -> Dataset:
    if isinstance(data, Dataset):
        if reading:
            raise ConfigError(
                f"There is no option {next(iter(reading))!r} for a dataset that is read already.",
                fix="`lepta compress --help` lists the options.",
            )
        return data
    recorded = (bundle.manifest.lineage.config.get("read") or {}).get("options")
    known = recorded or recorded_reading(bundle.manifest)
    return Dataset.read(data, context=context, **(known | dict(reading)))


def _require_same_splits(
    bundle: Bundle, data: Dataset, config: Mapping[str, Any], context: Context
) -> None:
    """Refuse rows that the model was fitted on, but which are split otherwise."""
    recorded = config.get("splits") or {}
    if not recorded or bundle.manifest.lineage.dataset != data.hash(context):
        return
    for name, rows in data.splits.items():
        if name in recorded and hash_of(rows) != recorded[name]:
            raise CompressError(
                f"The rows of the split {name!r} are others than when the model was fitted, so "
                "that it has learned from some that would judge it.",
                fix="Read the data as it was read then (the same groups, times and splits).",
            )


def _unseen(bundle: Bundle, data: Dataset, fit: Mapping[str, Any]) -> tuple[str, ...]:
    if fit.get("refit_full"):
        raise CompressError(
            "The model has learned from all rows, so that none can judge what is lost.",
            fix="Give other labelled rows, and name the splits that judge with judges=.",
        )
    known = bundle.manifest.lineage.dataset == data.fingerprint
    refitted = known and bool(fit.get("refit")) and _NETWORK not in bundle.names
    if not refitted:
        return ("valid",)
    if not len(data.splits.get("test", ())):
        raise CompressError(
            "The model has learned from the valid rows too, and there are no test rows.",
            fix="Give other labelled rows, or fit with refit=False.",
        )
    return ("test",)


def _apart(unseen: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Return a third to search by and the rest to confirm on; no group stands in both."""
    field = unseen.schema.one(Role.TIME)
    plain = unseen
    if field is not None:
        schema = unseen.schema.replace(field.name, role=Role.IGNORE)
        plain = unseen.with_schema(schema)
    try:
        if len(unseen) < _LEAST:
            raise CompressError(f"There are {len(unseen)} rows.")
        confirm, search = next(folds(plain, _PARTS, seed))
    except LeptaError as error:
        raise CompressError(
            f"The {len(unseen)} rows that the model has not seen do not suffice to judge by: "
            f"{error.what}",
            fix="Give more rows, or larger shares of valid and test rows.",
        ) from error
    return unseen.take(search), unseen.take(confirm)
