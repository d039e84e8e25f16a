"""The recipe of a run: all that is needed to repeat it, kept in the lineage of its bundle.

It holds paths and options, and short hashes by which a change of the data is told; no data.
"""

from __future__ import annotations

import io
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option

import lepta
from lepta.bundle import Bundle
from lepta.core.config import Config
from lepta.core.errors import BundleError, LeptaError
from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.data import Dataset
from lepta.data.options import Origin
from lepta.data.splits import NAMES, given_splits, hash_of
from lepta.engine import detect
from lepta.engine.hardware import installed
from lepta.tuning.options import FitOptions

ROWS = "workshop/rows.npz"
"""Member with the rows that were taken of what was read, or the splits that the caller made."""
_HASH = 4
"""Hexadecimal digits kept of a column's hash: they tell a change, but no value can be guessed."""
_COMPUTING = (
    "numpy", "scipy", "scikit-learn", "lightgbm", "torch", "torch_xla", "onnx", "onnxscript",
    "onnxruntime", "pyarrow", "pillow", "pydicom", "keras", "transformers",
)  # fmt: skip
"""Libraries that have a part in what is computed."""


class Machine(Config):
    """What a run was made on; the same bits come out of the same machine.

    Attributes:
        libraries: versions of the libraries that compute.
    """

    cpu: str = ""
    python: str = ""
    lepta: str = ""
    libraries: dict[str, str] = Option(default_factory=dict)

    @classmethod
    def here(cls) -> Self:
        """Return this machine."""
        found = detect(providers=False)
        return cls(
            cpu=f"{found.cpu} ({' '.join(found.instructions)})",
            python=found.python,
            lepta=lepta.__version__,
            libraries={name: known for name in _COMPUTING if (known := installed(name))},
        )

    def differences(self, other: Machine) -> list[str]:
        """Return in words what of ``other`` differs."""
        before, now = (
            {"processor": m.cpu, "Python": m.python, "Lepta": m.lepta, **m.libraries}
            for m in (self, other)
        )
        return [
            f"{name} {now.get(name) or 'absent'} instead of {version or 'absent'}"
            for name, version in before.items()
            if now.get(name) != version
        ]


class Recipe(Config):
    """How to repeat a run.

    Attributes:
        read: where the data were read from and how; None where the dataset was made by hand.
        fit: the options of ``fit``, device and threads as they were chosen.
        columns: what the fields were.
        rows: how many there were.
        hashes: the first digits of the hash of each column.
        splits: hash of the rows of each split.
        machine: what the run was made on.
        choices: what was measured there, such as the faster precision, and used.
    """

    read: Origin | None = None
    fit: FitOptions = FitOptions()
    columns: Schema = Option(Schema(fields=()), alias="schema")
    rows: int = 0
    hashes: dict[str, str] = Option(default_factory=dict)
    splits: dict[str, str] = Option(default_factory=dict)
    machine: Machine = Machine()
    choices: dict[str, str] = Option(default_factory=dict)

    @classmethod
    def of(cls, data: Dataset, options: FitOptions, context: Context) -> Self:
        """Return the recipe of a fit on ``data``, which has its final splits."""
        return cls(
            read=data.origin,
            fit=options.model_copy(update={"checkpoint": None, "address": None}),
            schema=data.schema,
            rows=len(data),
            hashes={name: found[:_HASH] for name, found in data.digests(context).items()},
            splits={name: hash_of(data.splits[name]) for name in NAMES},
            machine=Machine.here(),
        )

    def dump(self) -> dict[str, Any]:
        """Return it as JSON values, for ``Lineage.config``."""
        return self.model_dump(mode="json", by_alias=True)


def recipe_of(bundle: Bundle) -> Recipe:
    """Return the recipe in a bundle.

    Raises:
        BundleError: it holds none, or one that this version cannot read.
    """
    config = bundle.manifest.lineage.config
    if not {"fit", "hashes"} <= config.keys():
        raise BundleError(
            "The bundle does not hold what is needed to repeat its run.",
            fix="Only bundles that `lepta fit` made from this version on do; fit anew.",
        )
    known = {field.alias or name for name, field in Recipe.model_fields.items()}
    try:
        return Recipe.parse({name: value for name, value in config.items() if name in known})
    except LeptaError as error:
        raise BundleError(
            f"The bundle's run cannot be repeated by this version: {error.what}",
            fix=f"Install lepta=={bundle.manifest.lineage.version} to repeat it.",
        ) from error


def pack_rows(given: Dataset, split: Dataset, options: FitOptions) -> dict[str, bytes]:
    """Return the member that holds what reading and the seed do not give again; maybe none.

    Args:
        given: the dataset as the caller gave it.
        split: the same rows with their final splits.
        options: of the fit.
    """
    arrays: dict[str, NDArray[Any]] = {}
    if given.splits and not _same_splits(split, _again(split, options)):
        arrays |= {name: split.splits[name] for name in NAMES}
    if given.rows is not None or (arrays and split.rows is not None):
        arrays["rows"] = split.row_numbers - 1
    if not arrays:
        return {}
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return {ROWS: stream.getvalue()}


def unpack_rows(bundle: Bundle, data: Dataset) -> Dataset:
    """Return the rows and splits of ``data`` that the bundle was made of; all where it tells none.

    Rows that are not there are left to the comparison that follows.
    """
    if ROWS not in bundle.names:
        return data
    with np.load(io.BytesIO(bundle.read(ROWS)), allow_pickle=False) as arrays:
        members = {name: arrays[name].astype(np.int64) for name in arrays.files}
    rows = members.pop("rows", None)
    if rows is not None and data.rows is None and (rows < len(data)).all():
        data = data.take(rows)
        data = data.with_splits(given_splits(data))
    if members and all((positions < len(data)).all() for positions in members.values()):
        data = data.with_splits(members)
    return data


def _again(data: Dataset, options: FitOptions) -> Dataset | None:
    """Return the splits as a repeat would make them; None where it could not."""
    bare = data.with_splits(given_splits(data))
    if set(NAMES) <= set(bare.splits):
        return bare
    try:
        return bare.split(valid=options.valid, test=options.test, seed=options.seed)
    except LeptaError:
        return None


def _same_splits(one: Dataset, other: Dataset | None) -> bool:
    return other is not None and all(
        np.array_equal(one.splits[name], other.splits.get(name, np.empty(0, np.int64)))
        for name in NAMES
    )
