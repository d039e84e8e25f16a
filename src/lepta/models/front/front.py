"""All fields of a dataset to the arrays that a learner fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from lepta.bundle.manifest import InputSpec, Signature, TensorSpec
from lepta.core.errors import DataError, Where
from lepta.core.events import Context
from lepta.core.files import sha256
from lepta.core.schema import Kind
from lepta.models.front.image import ImageFront, ImageOptions, array_type
from lepta.models.front.table import TableFront, TableStyle
from lepta.models.graph import Graph
from lepta.runtime.pack import fit_media, to_array
from lepta.runtime.session import open_session
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

PLAIN = (Kind.NUMBER, Kind.CATEGORY, Kind.DATETIME)
TABLE = "\0table"
"""Key of the prepared table; no field can be called so."""
_SAMPLE = 32


@dataclass(frozen=True)
class Front:
    """Fitted preprocessing of every input field; its arrays are named ``table`` and by field."""

    table: TableFront | None
    images: tuple[ImageFront, ...]

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The public input fields."""
        plain = self.table.inputs if self.table else ()
        return (*plain, *(image.input for image in self.images))

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The tensors of the graph."""
        plain = self.table.tensors if self.table else ()
        return (*plain, *(image.tensor_spec for image in self.images))

    @property
    def categorical(self) -> tuple[int, ...]:
        """Columns of ``table`` that hold category codes."""
        return self.table.categorical if self.table else ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the prepared arrays, in the order in which bodies take them."""
        plain = (TABLE,) if self.table else ()
        return (*plain, *(image.source.name for image in self.images))

    def signature(self, task: Task) -> Signature:
        """Return the signature of a model that begins with this preprocessing."""
        return Signature(inputs=self.inputs, tensors=self.tensors, outputs=(task.output(),))

    def emit(self, graph: Graph) -> dict[str, str]:
        """Declare the inputs and add the nodes; return the value names of the arrays."""
        tensors = {t.name: graph.input(t.name, t.dtype, t.shape) for t in self.tensors}
        values = {TABLE: self.table.emit(graph, tensors)} if self.table else {}
        for image in self.images:
            values[image.source.name] = image.emit(graph, tensors[image.tensor])
        return values

    def mirrored(self) -> Front:
        """Return the same preprocessing, with images flipped left to right."""
        return replace(self, images=tuple(replace(i, mirror=True) for i in self.images))

    def run(self, data: Dataset, context: Context) -> dict[str, NDArray[np.float32]]:
        """Prepare a dataset: ``table`` (rows, columns), images (rows, channels, size, size).

        With a backbone, images become features (rows, features).
        """
        arrays: dict[str, NDArray[np.float32]] = {}
        if self.table is not None:
            arrays[TABLE] = self.table.run(plain_columns(data, self.table.inputs))
        for image in self.images:
            arrays[image.source.name] = self._run_image(image, data, context)
        return arrays

    def _run_image(self, image: ImageFront, data: Dataset, context: Context) -> NDArray[np.float32]:
        model = image_graph(image).SerializeToString()
        session = open_session(model)
        where = Where(field=image.source.name)

        def transform(decoded: NDArray[Any]) -> NDArray[np.float32]:
            batch = fit_media(image.input, decoded, where)[None]
            (prepared,) = session.run(None, {image.tensor: batch})
            return np.asarray(prepared[0], np.float32)

        return data.decoded(
            image.source.name,
            transform,
            key=sha256(model),
            decoder=(image.decoder, image.decoder_options),
            context=context,
        )


def image_graph(image: ImageFront) -> ModelProto:
    """Return the preprocessing of one image field as a model of its own."""
    graph = Graph()
    tensor = graph.input(image.tensor, image.dtype, (-1, -1, -1, image.channels))
    graph.output(image.emit(graph, tensor), "prepared", "float32", image.out_shape)
    return graph.build()


def plain_columns(data: Dataset, specs: tuple[InputSpec, ...]) -> dict[str, NDArray[Any]]:
    """Return the plain fields of a dataset as the runtime would read them from a caller."""
    return {spec.name: to_array(spec, _values(data, spec)) for spec in specs}


def _values(data: Dataset, spec: InputSpec) -> Any:
    return data.numpy(spec.name) if spec.kind == Kind.NUMBER else data.column(spec.name)


def fit_front(
    data: Dataset, *, style: TableStyle, image: ImageOptions | None, context: Context
) -> Front:
    """Fit the preprocessing of the input fields of training data.

    Args:
        data: the training rows.
        style: how plain fields are encoded.
        image: how image fields are prepared; None leaves them out.
        context: progress and threads.

    Raises:
        DataError: no input field is left that the learner can use.
    """
    plain = tuple(f for f in data.schema.inputs if f.kind in PLAIN)
    specs = TableFront.fit({}, (), style) if not plain else _unfitted(plain, style)
    table = TableFront.fit(plain_columns(data, specs.inputs), plain, style) if plain else None
    images = tuple(_fit_images(data, image)) if image is not None else ()
    if table is None and not images:
        raise DataError(
            "There is no input field that this learner can use.",
            fix="Check kinds and roles with `lepta check`; override them with kinds= and roles=.",
        )
    return Front(table=table, images=images)


def _unfitted(fields: tuple[Any, ...], style: TableStyle) -> TableFront:
    empty: Mapping[str, NDArray[Any]] = {
        f.name: np.empty(0, object if f.kind == Kind.CATEGORY else np.float64) for f in fields
    }
    return TableFront.fit(empty, fields, style)


def _fit_images(data: Dataset, options: ImageOptions) -> list[ImageFront]:
    fronts = []
    fields = [f for f in data.schema.inputs if f.kind == Kind.IMAGE]
    rows = np.linspace(0, len(data) - 1, min(_SAMPLE, len(data))).astype(int)
    for position, source in enumerate(fields):
        sample = [data.decode(source.name, int(row)) for row in rows]
        decoder = data.decoders.get(source.name) or _decoder_like(sample)
        fronts.append(ImageFront.fit(source, f"image_{position}", decoder, sample, options))
    return fronts


def _decoder_like(sample: list[NDArray[Any]]) -> tuple[str, dict[str, Any]]:
    """Return the decoder of files such as the arrays that were given instead of files."""
    dtype = array_type(sample)
    bits = {"uint8": 8, "uint16": 16}.get(str(dtype), 32)
    return "image", {"channels": sample[0].shape[2], "bits": bits}
