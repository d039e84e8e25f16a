"""Load a bundle and predict with it."""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle import Bundle
from lepta.bundle.manifest import Manifest, Signature
from lepta.core.errors import BundleError, InputError, Where
from lepta.core.schema import ARRAYS
from lepta.runtime.fields import FieldReader
from lepta.runtime.pack import missing_column, pack, to_array
from lepta.runtime.plain import RowPacker
from lepta.runtime.predictions import Predictions, gather
from lepta.runtime.rows import Columns, to_columns
from lepta.runtime.session import open_session, trim
from lepta.tasks import Task

Array = NDArray[Any]
CHUNK = 64
"""Rows decoded and run at a time where there are media, texts or series; 4,096 elsewhere."""
Spread = Callable[..., Iterator[Any]]
"""``map``, or the same on several threads."""
GRAPH = "model.onnx"
_SHOWN = 100
TOLERANCE = 1e-3
"""Largest difference in a score that the self-test accepts between machines."""


def predict(bundle: Bundle | Path | str, rows: Any, *, threads: int = 1) -> Predictions:
    """Predict ``rows`` with a bundle; see :meth:`Predictor.predict`."""
    return Predictor(bundle, threads=threads).predict(rows)


class Predictor:
    """A bundle that is loaded, self-tested and ready to predict. Safe to call from many threads.

    Of a bundle that it loads itself, it lets the graph go once that is open: it would take its
    size in memory twice.

    Args:
        bundle: a bundle or the path of one.
        threads: threads within one call of the graph, and threads that decode files.
        providers: ONNX Runtime execution providers in order of preference.
        self_test: run the bundle's examples and compare with the predictions expected.

    Raises:
        BundleError: the bundle is damaged or fails its self-test.
    """

    def __init__(
        self,
        bundle: Bundle | Path | str,
        *,
        threads: int = 1,
        providers: Sequence[str] | None = None,
        self_test: bool = True,
    ) -> None:
        mine = not isinstance(bundle, Bundle)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        self.threads = threads
        self.session = open_session(self.bundle.read(GRAPH), threads=threads, providers=providers)
        if mine:
            self.bundle = self.bundle.let_go(GRAPH)
            trim()
        self._check_graph()
        self._readers = {
            spec.name: FieldReader(spec, self.bundle.read)
            for spec in self.signature.inputs
            if spec.kind in ARRAYS
        }
        self._pack_row = RowPacker.of(self.signature)
        self._output = self.task.output()
        if self_test:
            self.self_test()
        if mine:
            trim()

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self.bundle.manifest

    @property
    def signature(self) -> Signature:
        """The fields taken, the tensors they are packed in, and the outputs."""
        return self.manifest.signature

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.manifest.task

    def run(
        self, tensors: Mapping[str, Array], index: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Return the scores (rows, ...) for tensors that are ready for the graph.

        Args:
            tensors: by name, as the signature describes them.
            index: position of each row among those that the caller gave, for messages.

        Raises:
            InputError: a tensor has the wrong name, shape or type, or a score is not a number, from
                which no answer follows.
        """
        scores = self._run(tensors)
        if np.isnan(scores).any():
            lost = np.flatnonzero(np.isnan(scores.reshape(len(scores), -1)).any(axis=1))
            raise InputError(
                f"The model gives no number for {lost.size} of {len(scores)} row(s).",
                where=Where(row=int(lost[0] if index is None else index[lost[0]]) + 1),
                fix="Look for missing or huge values among the inputs; the schema of an imported "
                "model can say what a missing number counts as (fill:).",
            )
        return scores

    def _run(self, tensors: Mapping[str, Array]) -> NDArray[np.float32]:
        try:
            (scores,) = self.session.run([self._output.name], dict(tensors))
        except Exception as error:
            raise InputError(
                f"The graph refuses these tensors: {error}",
                fix="Compare names, shapes and types with the signature.",
            ) from error
        return np.asarray(scores, np.float32)

    def pack(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Pack one array a field (media decoded and stacked) into the graph's tensors."""
        return pack(self.signature, columns)

    def predict(self, rows: Any) -> Predictions:
        """Predict rows.

        Args:
            rows: a mapping of values (one row), a list of mappings, a mapping of columns, a table
                (pandas, polars, pyarrow), or, for a model with one input, a path, bytes, an
                array, or a list of them. Media values are paths, bytes or arrays.

        Raises:
            InputError: a field is missing or does not fit; the row and field are named.
            DecodeError: a file cannot be decoded.
        """
        return Predictions(self.scores(rows), self.task)

    def scores(self, rows: Any) -> NDArray[Any]:
        """Return the scores of ``rows``, in order; see :class:`Predictions`."""
        if self._pack_row is not None and (packed := self._pack_row(rows)) is not None:
            return self.run(packed)
        columns, count = to_columns(rows, self.signature)
        batches = self.batches(columns, count)
        pieces = ((index, self.run(tensors, index)) for index, tensors in batches)
        return gather(pieces, count, self._output)

    def batches(
        self, columns: Columns, count: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Array]]]:
        """Yield (row numbers, tensors): rows in pieces, arrays of one shape together."""
        size = CHUNK if self._readers else 4096
        with ExitStack() as stack:
            spread: Spread = map
            if self.threads > 1:
                from concurrent.futures import ThreadPoolExecutor

                spread = stack.enter_context(ThreadPoolExecutor(self.threads)).map
            for begin in range(0, count, size):
                rows = range(begin, min(begin + size, count))
                yield from self._chunk(columns, rows, spread)

    def _chunk(
        self, columns: Columns, rows: range, spread: Spread
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Array]]]:
        plain = {
            spec.name: to_array(spec, columns[spec.name][rows.start : rows.stop], rows.start)
            if spec.name in columns
            else missing_column(spec, len(rows))
            for spec in self.signature.inputs
            if spec.name not in self._readers
        }
        arrays = {
            name: list(spread(reader, self._values(columns, name, rows), rows))
            for name, reader in self._readers.items()
        }
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for position in range(len(rows)):
            groups[tuple(arrays[name][position].shape for name in arrays)].append(position)
        for positions in groups.values():
            chosen = np.array(positions)
            batch = {name: values[chosen] for name, values in plain.items()}
            for name, values in arrays.items():
                batch[name] = np.stack([values[p] for p in positions])
            yield chosen + rows.start, self.pack(batch)

    def _values(self, columns: Columns, name: str, rows: range) -> Sequence[Any]:
        column = columns.get(name)
        return [None] * len(rows) if column is None else column[rows.start : rows.stop]

    def _check_graph(self) -> None:
        inputs = {node.name for node in self.session.get_inputs()}
        outputs = {node.name for node in self.session.get_outputs()}
        wanted = {tensor.name for tensor in self.signature.tensors}
        if inputs != wanted or self.task.output().name not in outputs:
            raise BundleError(
                f"The graph takes {sorted(inputs)} and gives {sorted(outputs)}, but the manifest "
                f"says {sorted(wanted)} and {self.task.output().name!r}.",
                fix="Make the bundle again.",
            )

    def self_test(self) -> None:
        """Run the bundle's examples.

        Raises:
            BundleError: an example gives other scores than when the bundle was made.
        """
        for name, tensors, expected in examples_of(self.bundle):
            scores = self.run(tensors)
            if not agrees(self.task, scores, expected):
                raise BundleError(
                    f"The self-test {name} gives {_shown(scores)}, expected {_shown(expected)}.",
                    fix="Do not use this bundle on this machine; report the two versions of "
                    "onnxruntime.",
                )


def examples_of(bundle: Bundle) -> Iterator[tuple[str, dict[str, Array], Array]]:
    """Yield the examples of a bundle: name, tensors of the graph, and the scores expected.

    Raises:
        BundleError: one cannot be read, or holds no scores.
    """
    for name in sorted(n for n in bundle.names if n.startswith("examples/")):
        tensors = read_example(bundle.read(name), name)
        expected = tensors.pop("expected")
        yield name, tensors, expected


def agrees(task: Task, scores: Array, expected: Array) -> bool:
    """Whether scores are those expected, as near as machines and runtimes agree."""
    largest = float(np.abs(expected).max(initial=0.0))
    scale = 1.0 if task.bounded else max(1.0, largest)
    return scores.shape == expected.shape and bool(task.gap(expected, scores) <= TOLERANCE * scale)


def _shown(scores: Array) -> str:
    if scores.size > _SHOWN:
        return f"other scores of shape {scores.shape} (mean {scores.mean():.6g})"
    return str(scores.tolist())


def read_example(data: bytes, name: str) -> dict[str, Array]:
    """Return the tensors of ``examples/NNN.npz``, and the scores ``expected`` of them.

    Raises:
        BundleError: it cannot be read, or holds no scores.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            tensors = {key: arrays[key] for key in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise BundleError(f"The example {name} cannot be read: {error}") from error
    if "expected" not in tensors:
        raise BundleError(f"The example {name} holds no expected scores.")
    return {
        key: value.astype(object) if value.dtype.kind == "U" else value
        for key, value in tensors.items()
    }


def write_example(tensors: Mapping[str, Array], expected: NDArray[np.float32]) -> bytes:
    """Return ``examples/NNN.npz``: one row of graph tensors and the scores they must give."""
    arrays = {
        name: value.astype(str) if value.dtype == object else value
        for name, value in tensors.items()
    }
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays, expected=expected)
    return stream.getvalue()
