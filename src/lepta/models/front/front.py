"""All fields of a dataset to the arrays that a learner fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import InputSpec, Signature, TensorSpec
from lepta.core.errors import DataError
from lepta.core.events import Context
from lepta.core.schema import Field, Kind
from lepta.models.front.audio import AudioFront
from lepta.models.front.base import FieldFront
from lepta.models.front.image import ImageFront, ImageOptions
from lepta.models.front.series import SeriesFront
from lepta.models.front.shared import fit_once, run_once
from lepta.models.front.table import TableFront, TableStyle
from lepta.models.front.text import TextFront
from lepta.models.front.volume import VolumeFront
from lepta.models.graph import Graph
from lepta.runtime.pack import to_array
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

PLAIN = (Kind.NUMBER, Kind.CATEGORY, Kind.DATETIME)
"""Kinds of field that the table part prepares."""
OTHERS = (Kind.VOLUME, Kind.AUDIO, Kind.TEXT, Kind.SERIES)
"""Kinds of field, images left out, that have a part of their own."""
TABLE = "\0table"
"""Key of the prepared table; no field can be called so."""
PRESENT = "\0present"
"""Key of the array (rows, optional fields) that says which of them each row has."""


@dataclass(frozen=True)
class Front:
    """Fitted preprocessing of every input field; its arrays are named ``table`` and by field."""

    table: TableFront | None
    fields: tuple[FieldFront, ...]

    @property
    def images(self) -> tuple[ImageFront, ...]:
        """The parts that prepare images."""
        return tuple(part for part in self.fields if isinstance(part, ImageFront))

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the fields that a row may lack, in the order of the columns of ``present``."""
        return tuple(part.source.name for part in self.fields if part.optional)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The public input fields."""
        plain = self.table.inputs if self.table else ()
        return (*plain, *(part.input for part in self.fields))

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The tensors of the graph."""
        plain = self.table.tensors if self.table else ()
        return (*plain, *(part.tensor_spec for part in self.fields))

    @property
    def categorical(self) -> tuple[int, ...]:
        """Columns of ``table`` that hold category codes."""
        return self.table.categorical if self.table else ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the prepared arrays, in the order in which bodies take them."""
        plain = (TABLE,) if self.table else ()
        gaps = (PRESENT,) if self.optional else ()
        return (*plain, *gaps, *(part.source.name for part in self.fields))

    @property
    def members(self) -> dict[str, bytes]:
        """Files that the bundle needs beside the graph, by name: tokenizers."""
        return {name: data for part in self.fields for name, data in part.members.items()}

    def signature(self, task: Task) -> Signature:
        """Return the signature of a model that begins with this preprocessing."""
        return Signature(inputs=self.inputs, tensors=self.tensors, outputs=(task.output(),))

    def emit(self, graph: Graph) -> dict[str, str]:
        """Declare the inputs and add the nodes; return the value names of the arrays."""
        tensors = {t.name: graph.input(t.name, t.dtype, t.shape) for t in self.tensors}
        return self.emit_from(graph, tensors)

    def emit_from(self, graph: Graph, tensors: Mapping[str, str]) -> dict[str, str]:
        """Add the nodes that read declared inputs; return the value names of the arrays."""
        values = {TABLE: self.table.emit(graph, tensors)} if self.table else {}
        for part in self.fields:
            values[part.source.name] = part.emit(graph, tensors[part.tensor])
        there = [p.emit_present(graph, tensors[p.tensor]) for p in self.fields if p.optional]
        if there:
            values[PRESENT] = graph.op("Concat", *there, axis=1)
        return values

    def mirrored(self) -> Front:
        """Return the same preprocessing, with images flipped left to right."""
        turned = (
            replace(part, mirror=True) if isinstance(part, ImageFront) else part
            for part in self.fields
        )
        return replace(self, fields=tuple(turned))

    def run(self, data: Dataset, context: Context) -> dict[str, NDArray[Any]]:
        """Prepare a dataset; return its arrays by name, rows first.

        ``table`` is (rows, columns), images are (rows, channels, size, size) or, with a backbone,
        features (rows, features), volumes (rows, channels, side, side, side), sounds
        (rows, bands, frames), series (rows, channels, length), texts (rows, length) of int64, and
        ``present`` is (rows, optional fields).
        """
        return run_once(self, data, context, lambda rows: self._run(rows, context))

    def _run(self, data: Dataset, context: Context) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        there = []
        if self.table is not None:
            arrays[TABLE] = self.table.run(plain_columns(data, self.table.inputs))
        for part in self.fields:
            arrays[part.source.name], present = part.run(data, context)
            there += [present] if part.optional else []
        if there:
            arrays[PRESENT] = np.concatenate(there, axis=1)
        return arrays


def plain_columns(data: Dataset, specs: tuple[InputSpec, ...]) -> dict[str, NDArray[Any]]:
    """Return the plain fields of a dataset as the runtime would read them from a caller."""
    return {spec.name: to_array(spec, _values(data, spec)) for spec in specs}


def _values(data: Dataset, spec: InputSpec) -> Any:
    return data.numpy(spec.name) if spec.kind == Kind.NUMBER else data.column(spec.name)


def fit_front(
    data: Dataset,
    *,
    style: TableStyle,
    image: ImageOptions | None,
    kinds: Collection[Kind] = (),
    text: Callable[[Dataset, Field, str, bool, str], TextFront] = TextFront.fit,
    gaps: bool = False,
    context: Context,
) -> Front:
    """Fit the preprocessing of the input fields of training data.

    Args:
        data: the training rows.
        style: how plain fields are encoded.
        image: how image fields are prepared; None leaves them out.
        kinds: which other kinds that have a part of their own (:data:`OTHERS`) are used.
        text: what prepares a text field, from the rows, the field, the name of its tensor,
            whether a row may lack it, and the name of its tokenizer's file.
        gaps: whether rows may lack fields of these kinds even if no training row does, so long
            as there is another input.
        context: progress and threads.

    Raises:
        DataError: no input field is left that the learner can use.
        MissingExtraError: a kind of field needs a package that is not installed.
    """
    there = {f.kind for f in data.schema.inputs}
    image = image if Kind.IMAGE in there else None
    kinds = tuple(kind for kind in OTHERS if kind in kinds and kind in there)
    gaps = gaps and bool(kinds or image)
    key = (style, image, kinds, text if Kind.TEXT in kinds else None, gaps)
    return fit_once(data, key, context, lambda rows: _fit(rows, style, image, kinds, text, gaps))


def _fit(
    data: Dataset,
    style: TableStyle,
    image: ImageOptions | None,
    kinds: Collection[Kind],
    text: Callable[[Dataset, Field, str, bool, str], TextFront],
    gaps: bool,
) -> Front:
    plain = tuple(f for f in data.schema.inputs if f.kind in PLAIN)
    specs = TableFront.fit({}, (), style) if not plain else _unfitted(plain, style)
    table = TableFront.fit(plain_columns(data, specs.inputs), plain, style) if plain else None
    used = {*kinds, Kind.IMAGE} if image is not None else set(kinds)
    own = [f for f in data.schema.inputs if f.kind in used]
    lax = gaps and len(own) + bool(plain) > 1
    counts: Counter[Kind] = Counter()
    fields: list[FieldFront] = []
    for source in own:
        optional = lax or not data.present(source.name).all()
        number = counts[source.kind]
        if source.kind == Kind.TEXT:
            member = f"tokenizer_{number + 1}.json" if number else "tokenizer.json"
            fields.append(text(data, source, f"text_{number}", optional, member))
        else:
            fields.append(_fit_field(data, source, number, optional, image))
        counts[source.kind] += 1
    if table is None and not fields:
        raise DataError(
            "There is no input field that this learner can use.",
            fix="Check kinds and roles with `lepta check`; override them with kinds= and roles=.",
        )
    return Front(table=table, fields=tuple(fields))


def _fit_field(
    data: Dataset, source: Field, number: int, optional: bool, image: ImageOptions | None
) -> FieldFront:
    """Return the fitted part of one field, no text, the ``number``-th of its kind."""
    tensor = f"{source.kind.value}_{number}"
    if source.kind == Kind.IMAGE:
        return ImageFront.fit(data, source, tensor, optional, image or ImageOptions())
    if source.kind == Kind.VOLUME:
        return VolumeFront.fit(data, source, tensor, optional)
    if source.kind == Kind.AUDIO:
        return AudioFront.fit(data, source, tensor, optional)
    return SeriesFront.fit(data, source, tensor, optional)


def _unfitted(fields: tuple[Any, ...], style: TableStyle) -> TableFront:
    empty: Mapping[str, NDArray[Any]] = {
        f.name: np.empty(0, object if f.kind == Kind.CATEGORY else np.float64) for f in fields
    }
    return TableFront.fit(empty, fields, style)
