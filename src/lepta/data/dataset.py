"""The dataset: a table, what it means, the files it refers to, and its splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import DataError, SchemaError, Where, suggest
from lepta.core.events import Context
from lepta.core.schema import Kind, Role, Schema
from lepta.data import access
from lepta.data.files import Files
from lepta.data.histories import RECOMMENDATION, histories
from lepta.data.issues import Issue
from lepta.data.media import Decoder
from lepta.data.options import Origin, ReadOptions
from lepta.data.windows import WindowOptions, windows
from lepta.tasks import Task, task_for

Rows = NDArray[np.int64]
Transform = access.Transform


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of fields. Nothing in it changes; every method returns a new dataset.

    Attributes:
        table: a pyarrow.Table, cleaned.
        schema: what each column holds and is for.
        files: where the files that it refers to are.
        splits: named splits, as row positions.
        decoders: of each media field, the name of its decoder and the options.
        notes: what was noticed while reading.
        name: a short name for people.
        rows: position of each row in what was read; None is all of them, in order.
        wish: name of the task and its options, where they are given; else the target tells.
        window: how rows in order of time became these rows, where they did.
        origin: where it was read from and how, so that it can be read again.
    """

    table: Any
    schema: Schema
    files: Files = field(default_factory=Files)
    splits: Mapping[str, Rows] = field(default_factory=dict)
    decoders: Mapping[str, Decoder] = field(default_factory=dict)
    notes: tuple[Issue, ...] = ()
    name: str = "dataset"
    rows: Rows | None = None
    wish: tuple[str, Mapping[str, Any]] = ("", {})
    window: WindowOptions | None = None
    origin: Origin | None = None

    @staticmethod
    def read(source: Any, *, context: Context | None = None, **options: Any) -> Dataset:
        """Read a dataset and infer what its fields are.

        Args:
            source: a CSV, TSV, Parquet, JSON lines, COCO JSON or Arrow file; a folder (or zip) of
                images, of class-named folders of them, or of DICOM files; a pandas or polars
                frame, a pyarrow table, or a mapping of columns, where an array (rows, height,
                width) or (rows, height, width, channels) is a column of images.
            context: progress.
            options: see :class:`lepta.data.ReadOptions`: target, task, group, time_field, weight,
                split, positive, kinds, roles, format, series, boxes.

        Raises:
            ConfigError: an option is unknown or has a wrong value.
            DataError: the source cannot be read; file and row are named.
            SchemaError: column names repeat, or an option does not fit the columns.
        """
        from lepta.data.boxes.joining import with_boxes
        from lepta.data.build import build
        from lepta.data.labels import MULTILABEL, separator_in
        from lepta.data.sources import read_source
        from lepta.data.splits import given_splits

        chosen = ReadOptions.parse({k: v for k, v in options.items() if v is not None})
        if chosen.window.horizon and chosen.target is not None:
            kinds = {chosen.target: Kind.NUMBER, **chosen.kinds}
            chosen = chosen.model_copy(update={"kinds": kinds})
        raw = with_boxes(read_source(source, chosen, context or Context()), chosen, context)
        if chosen.task == MULTILABEL and not chosen.task_options.get("separator"):
            found = {"separator": separator_in(raw.table, chosen.target)}
            chosen = chosen.model_copy(update={"task_options": {**chosen.task_options, **found}})
        built = build(raw, chosen)
        data = Dataset(
            table=built.table,
            schema=built.schema,
            files=raw.files,
            decoders=built.decoders,
            notes=built.issues,
            name=raw.name,
            wish=(chosen.task or "", chosen.task_options),
            origin=Origin.of(source, chosen),
        )
        if chosen.window.length or chosen.window.horizon:
            data = windows(data, chosen.window)
        if chosen.task == RECOMMENDATION and chosen.target is not None:
            data = histories(data)
        return replace(data, splits=given_splits(data))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        splits = ", ".join(f"{name} {len(rows)}" for name, rows in self.splits.items())
        return f"Dataset({self.name!r}, {len(self)} rows, {len(self.schema)} fields" + (
            f", splits: {splits})" if splits else ")"
        )

    def __iter__(self) -> Iterator[dict[str, Any]]:
        names = self.schema.names
        columns = [self.column(name) for name in names]
        for values in zip(*columns, strict=True):
            yield dict(zip(names, values, strict=True))

    def __getitem__(self, split: str) -> Dataset:
        """Return the rows of a split.

        Raises:
            SchemaError: there is no such split.
        """
        if split not in self.splits:
            known = ", ".join(self.splits) or "none; call data.split() first"
            raise SchemaError(
                f"There is no split {split!r}.{suggest(split, self.splits)}",
                fix=f"The splits are: {known}.",
            )
        return self.take(self.splits[split])

    def take(self, indices: Sequence[int] | NDArray[Any]) -> Dataset:
        """Return the rows at ``indices`` (positions, or a boolean for every row), in that order."""
        wanted = np.asarray(indices)
        positions = np.flatnonzero(wanted) if wanted.dtype == bool else wanted.astype(np.int64)
        return replace(
            self,
            table=self.table.take(positions),
            splits={},
            rows=self.row_numbers[positions] - 1,
        )

    def keep(self, mask: NDArray[np.bool_]) -> Dataset:
        """Return the rows where ``mask`` holds; splits are kept, less the rows dropped."""
        place = np.cumsum(mask) - 1
        splits = {name: place[rows[mask[rows]]] for name, rows in self.splits.items()}
        return replace(self.take(np.flatnonzero(mask)), splits=splits)

    def with_splits(self, splits: Mapping[str, Rows]) -> Dataset:
        """Return the same rows with other splits."""
        return replace(self, splits=dict(splits))

    def with_schema(self, schema: Schema) -> Dataset:
        """Return the same rows with another schema of the same fields."""
        return replace(self, schema=schema)

    @property
    def row_numbers(self) -> Rows:
        """Number of each row in what was read, counted from 1."""
        rows = np.arange(len(self)) if self.rows is None else self.rows
        return rows + 1

    @property
    def target(self) -> str | None:
        """Name of the target field, if there is one."""
        found = self.schema.one(Role.TARGET)
        return found.name if found else None

    @cached_property
    def task(self) -> Task:
        """What is to be predicted.

        Raises:
            ConfigError: the task asked for is unknown, or an option does not fit it.
            SchemaError: there is no target, or it is of a kind that no task predicts.
            DataError: the target has fewer than two classes.
        """
        field = self.schema.one(Role.TARGET)
        if field is None:
            raise SchemaError("The dataset has no target.", fix="Name it with target=.")
        return task_for(field, self.wish[0], **self.wish[1])

    def column(self, name: str) -> list[Any]:
        """Return the values of a field: None where missing; arrays of a tensor field as arrays."""
        return access.values(self, name)

    def numpy(self, name: str) -> NDArray[Any]:
        """Return a field as an array.

        Numbers are float32 or float64 with NaN where missing, date-times float64 seconds since
        1970-01-01 UTC, arrays themselves, everything else objects with None where missing.
        """
        return access.array(self, name)

    def inputs(self) -> dict[str, Sequence[Any]]:
        """Return the input fields as ``lepta.predict`` takes them; files are read when decoded."""
        return {field.name: access.predictable(self, field.name) for field in self.schema.inputs}

    def with_task(self, name: str, **options: Any) -> Dataset:
        """Return the same rows, to be used for the task called ``name``."""
        return replace(self, wish=(name, options))

    def targets(self, task: Task | None = None) -> NDArray[Any]:
        """Return the target as a learner fits it: class codes, float64, or arrays.

        Of a task ``by_group`` it is (rows, 2): the target and the code of the row's group.

        Args:
            task: the task that reads the values; the dataset's own by default.

        Raises:
            DataError: a value is missing or no class; its row is named.
            DecodeError: the target is a file (a mask) that cannot be decoded.
            SchemaError: the task needs groups, and no field has that role.
        """
        task = task or self.task
        try:
            encoded = task.encode(access.truth(self, task.target))
            return encoded if not task.by_group else self._grouped(encoded)
        except DataError as error:
            if error.where is not None and error.where.row is not None:
                row = int(self.row_numbers[error.where.row - 1])
                error.where = Where(row=row, field=error.where.field)
            raise

    def _grouped(self, values: NDArray[Any]) -> NDArray[Any]:
        from lepta.data.splits import require_groups

        return np.column_stack([values, require_groups(self).astype(np.float64)])

    def decode(self, name: str, row: int) -> NDArray[Any]:
        """Return the decoded value of a media field: an image is (height, width, channels).

        Raises:
            DecodeError: the file cannot be decoded; file, row and field are named.
            DataError: the file is missing.
        """
        return access.decode(self, name, row)

    def read_bytes(self, name: str, row: int) -> bytes:
        """Return the file of a media field as it is.

        Raises:
            DataError: the file is missing, or the field holds arrays.
        """
        return access.read_bytes(self, name, row)

    def decoded(
        self,
        name: str,
        transform: Transform | None = None,
        *,
        key: str = "",
        decoder: Decoder | None = None,
        absent: NDArray[Any] | None = None,
        context: Context | None = None,
    ) -> NDArray[Any]:
        """Return all decoded values of a media field as one memory-mapped array (rows, ...).

        They are decoded in parallel at the first call and kept in a cache.

        Args:
            name: the field.
            transform: what to do to each decoded value; all results must have one shape.
            key: a name for what ``transform`` does; a change of it makes a new cache.
            decoder: decoder and options to use instead of those of the dataset.
            absent: what stands for the decoded value of a row that has none; None refuses them.
            context: progress, threads, and the folder of the cache.

        Raises:
            DataError: shapes differ, a file is missing, or the disk is full.
            DecodeError: a file cannot be decoded.
        """
        from lepta.data.cache import decoded

        chosen = decoder or self.decoders.get(name)
        return decoded(
            self,
            name,
            transform,
            key=key,
            decoder=chosen,
            absent=absent,
            context=context or Context(),
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content, that of the files included; see :meth:`hash`."""
        return self.hash()

    def hash(self, context: Context | None = None) -> str:
        """Return the fingerprint, with progress; it is remembered."""
        from lepta.data.fingerprint import fingerprint

        if "fingerprint" not in self.__dict__:
            self.__dict__["fingerprint"] = fingerprint(self.digests(context))
        return str(self.__dict__["fingerprint"])

    def digests(self, context: Context | None = None) -> dict[str, str]:
        """Return the SHA-256 of the content of each field, that of files included."""
        from lepta.data.fingerprint import digests

        if "_digests" not in self.__dict__:
            self.__dict__["_digests"] = digests(self, context or Context())
        return dict(self.__dict__["_digests"])

    def profile(self, context: Context | None = None) -> dict[str, Any]:
        """Return what each field looks like, JSON-able; the reference for drift."""
        from lepta.data.profiles import profile

        return profile(self, context or Context())

    def split(self, *, valid: float = 0.2, test: float = 0.2, seed: int = 0) -> Dataset:
        """Return the same rows with the splits train, valid and test; see :func:`split`.

        Raises:
            DataError: the rows or groups do not suffice, or the given splits do not fit.
        """
        from lepta.data.splits import split

        return split(self, valid=valid, test=test, seed=seed)

    def present(self, name: str) -> NDArray[np.bool_]:
        """Return whether each row has a value of a field, (rows,)."""
        return access.present(self, name)

    def media(self) -> tuple[str, ...]:
        """Names of the fields that hold files or arrays to decode and are inputs."""
        from lepta.core.schema import MEDIA

        return tuple(f.name for f in self.schema.inputs if f.kind in MEDIA)

    def location(self, name: str, row: int) -> str | None:
        """Return the path of a media value, or None when it is not a path."""
        value = self.table[name][row].as_py() if self.schema[name].kind != Kind.SERIES else None
        return str(value) if isinstance(value, str | Path) else None
