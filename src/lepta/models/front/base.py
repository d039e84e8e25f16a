"""What the preprocessing of one field is, and how it is run over a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from lepta.bundle.manifest import InputSpec, TensorSpec
from lepta.core.errors import DataError, Where
from lepta.core.events import Context
from lepta.core.files import sha256
from lepta.core.schema import Field
from lepta.models.graph import Graph
from lepta.runtime.fields import absent
from lepta.runtime.pack import fit_media
from lepta.runtime.session import open_session

if TYPE_CHECKING:
    from lepta.data import Dataset

Prepared = tuple[NDArray[Any], NDArray[np.float32]]
SAMPLE = 32
"""Values of a media field that are decoded to choose sizes, windows and rates by."""


class OnlyFields:
    """A dataclass of which its fields are pickled, and not the sessions made from them."""

    def __getstate__(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class FieldFront(OnlyFields, ABC):
    """Fitted preprocessing of one field that has a tensor of its own.

    Attributes:
        source: the field.
        tensor: name of its tensor.
        optional: whether a row may lack it.
    """

    source: Field
    tensor: str
    optional: bool

    prepared: ClassVar[str] = "float32"
    """NumPy name of the prepared array's type."""

    @property
    @abstractmethod
    def input(self) -> InputSpec:
        """The public input field."""

    @property
    def tensor_spec(self) -> TensorSpec:
        """The graph's tensor for the field."""
        spec = self.input
        return TensorSpec(
            name=self.tensor, dtype=spec.dtype, shape=spec.shape, fields=(self.source.name,)
        )

    @property
    @abstractmethod
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the prepared array, rows first as -1."""

    @property
    def members(self) -> Mapping[str, bytes]:
        """Files that the bundle needs for the field, by name."""
        return {}

    @abstractmethod
    def emit(self, graph: Graph, tensor: str) -> str:
        """Add the nodes; return the name of the prepared array."""

    @abstractmethod
    def emit_present(self, graph: Graph, tensor: str) -> str:
        """Add the nodes; return the name of a float32 (rows, 1): 1 where there is a value."""

    @abstractmethod
    def run(self, data: Dataset, context: Context) -> Prepared:
        """Prepare a dataset by the graph that ships.

        Returns:
            The prepared array, rows first, and (rows, 1): 1 where there is a value.
        """

    def graph(self) -> ModelProto:
        """Return the preprocessing of the field as a model of its own."""
        graph, spec = Graph(), self.tensor_spec
        tensor = graph.input(spec.name, spec.dtype, spec.shape)
        graph.output(self.emit(graph, tensor), "prepared", self.prepared, self.out_shape)
        return graph.build()


@dataclass(frozen=True, eq=False)
class MediaFront(FieldFront):
    """Fitted preprocessing of one field of files or arrays.

    Attributes:
        decoder: registered name of the decoder of files, and its options.
    """

    decoder: tuple[str, dict[str, Any]]

    def run(self, data: Dataset, context: Context) -> Prepared:
        model = self.graph().SerializeToString()
        session = open_session(model)
        spec, where = self.input, Where(field=self.source.name)

        def transform(decoded: NDArray[Any]) -> NDArray[np.float32]:
            batch = fit_media(spec, decoded, where)[None]
            (prepared,) = session.run(None, {self.tensor: batch})
            return np.asarray(prepared[0], np.float32)

        prepared = data.decoded(
            self.source.name,
            transform,
            key=sha256(model),
            decoder=self.decoder,
            absent=absent(spec) if self.optional else None,
            context=context,
        )
        return prepared, data.present(self.source.name)[:, None].astype(np.float32)

    def emit_present(self, graph: Graph, tensor: str) -> str:
        """What is missing is an array of one pixel, voxel or sample; see ``runtime.fields``."""
        free = [axis for axis, size in enumerate(self.input.shape) if size == -1 and axis]
        shape = graph.op("Shape", tensor)
        sizes = graph.op("Gather", shape, graph.const(free, "int64"))
        largest = graph.op("ReduceMax", sizes, keepdims=1)
        there = graph.op("Greater", largest, graph.const([1], "int64"))
        rows = graph.op("Concat", graph.op("Gather", shape, graph.const([0], "int64")),
                        graph.const([1], "int64"), axis=0)  # fmt: skip
        return graph.op("Expand", graph.op("Cast", there, to=1), rows)


def sample_of(data: Dataset, name: str) -> list[NDArray[Any]]:
    """Return some decoded values of a media field, spread over the rows that have one.

    Raises:
        DataError: no row has one.
    """
    return [data.decode(name, int(row)) for row in sample_rows(data, name)]


def sample_rows(data: Dataset, name: str) -> NDArray[np.int64]:
    """Return some rows that have a value of a field, spread over all.

    Raises:
        DataError: there is none.
    """
    rows = np.flatnonzero(data.present(name))
    if not rows.size:
        raise DataError(
            f"No training row has a value of {name!r}.",
            where=Where(field=name),
            fix=f"Leave the field out with roles={{{name!r}: 'ignore'}}.",
        )
    chosen: NDArray[np.int64] = rows[
        np.linspace(0, rows.size - 1, min(SAMPLE, rows.size)).astype(int)
    ]
    return chosen
