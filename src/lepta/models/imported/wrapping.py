"""A foreign graph inside one that begins with raw fields and ends in a task's scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from lepta.bundle.manifest import Signature
from lepta.core.errors import ConfigError, ExportError, LeptaError
from lepta.models.graph import Graph
from lepta.models.imported.fields import Feeding
from lepta.models.imported.schema import ImportSchema
from lepta.models.imported.versions import last_step, opset_of, read_foreign, with_output
from lepta.runtime.pack import pack
from lepta.runtime.session import open_session

PARITY = 1e-4
"""Largest difference accepted between the foreign graph alone and inside ours."""
_ROWS = 3
_SIDE = 224
"""Height and width of trial images where the graph takes any size."""


@dataclass(frozen=True)
class Wrapped:
    """A foreign model made ready.

    Attributes:
        model: the one graph, from raw fields to scores.
        signature: its inputs and outputs.
        trial: tensors of a few made-up rows, for the self-test of the bundle.
        scores: what the graph gives for them.
        gap: largest difference found between it and the foreign graph alone.
    """

    model: ModelProto
    signature: Signature
    trial: dict[str, NDArray[Any]] = field(repr=False)
    scores: NDArray[np.float32] = field(repr=False)
    gap: float


def wrap_foreign(data: bytes, schema: ImportSchema, file: str, seed: int = 0) -> Wrapped:
    """Put a foreign ONNX model inside a graph of Lepta's, and compare the two on made-up rows.

    Args:
        data: the ONNX file.
        schema: what is known of it.
        file: its name, for messages.
        seed: of the made-up rows.

    Raises:
        BundleError: the file is no ONNX model, keeps data outside or uses unknown operators.
        ConfigError: the schema does not describe the graph.
        ExportError: the graph cannot be converted, takes one row only, or changes inside ours.
    """
    foreign = with_output(read_foreign(data, file), schema.output)
    feeding = Feeding.of(schema, foreign)
    task = schema.task
    signature = Signature(inputs=feeding.inputs, tensors=feeding.tensors, outputs=(task.output(),))
    trial = _made_up(feeding, np.random.default_rng(seed))
    alone = _alone(data, feeding, trial, foreign.graph.output[0].name)
    _check_output(alone, schema)
    if schema.gives == "logits" and (last := last_step(foreign)) in ("Sigmoid", "Softmax"):
        raise ConfigError(
            f"The output holds probabilities: the graph ends in {last}.",
            fix="Say gives: probabilities.",
        )

    graph = Graph(opset_of(foreign))
    fed = feeding.emit(graph)
    (scores,) = graph.embed(foreign, fed)
    output = task.output()
    finished = _finish(graph, scores, schema, alone.shape[1])
    graph.output(finished, output.name, output.dtype, output.shape)
    model = graph.build()
    got = _run(model, trial, output.name)
    wanted = _finished(alone, schema)
    gap = float(np.abs(got - wanted).max()) if got.shape == wanted.shape else np.inf
    if not gap <= PARITY * max(1.0, float(np.abs(wanted).max())):
        raise ExportError(
            f"Inside Lepta's graph the model answers otherwise than alone (by {gap:.2g}).",
            fix="Export it again with a newer opset, and report this with the file.",
        )
    return Wrapped(model, signature, trial, got, gap)


def _made_up(feeding: Feeding, random: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return random rows: pixels over the window, numbers around the mean, known categories."""
    columns: dict[str, NDArray[Any]] = {}
    for entry in feeding.schema.inputs:
        for position, name in enumerate(entry.name):
            if entry.kind == "image":
                spec = next(spec for spec in feeding.inputs if spec.name == name)
                low, high = entry.pixels
                shape = (_ROWS, _SIDE, _SIDE + 8, spec.shape[3])
                columns[name] = random.uniform(low, high, shape).astype(spec.dtype)
            elif entry.kind == "number":
                centre, spread = _one(entry.mean, position, 0.0), _one(entry.std, position, 1.0)
                columns[name] = random.normal(centre, spread, _ROWS)
            else:
                columns[name] = random.choice(list(entry.labels) or ["a", ""], _ROWS).astype(object)
    return pack(Signature(inputs=feeding.inputs, tensors=feeding.tensors, outputs=()), columns)


def _one(numbers: tuple[float, ...], position: int, default: float) -> float:
    if not numbers:
        return default
    return numbers[position] if len(numbers) > 1 else numbers[0]


def _alone(
    data: bytes, feeding: Feeding, trial: dict[str, NDArray[Any]], output: str
) -> NDArray[np.float64]:
    """Return what the foreign file gives by itself, row by row, as a matrix."""
    front = Graph()
    for name, value in feeding.emit(front).items():
        target = feeding.targets[name]
        shape = (-1,) * len(target.shape)
        front.output(value, name, target.dtype, shape)
    names = list(feeding.chosen)
    prepared = open_session(front.build().SerializeToString()).run(names, trial)
    session = open_session(_exposing(data, output))
    rows = []
    for row in range(_ROWS):
        inputs = {name: array[row : row + 1] for name, array in zip(names, prepared, strict=True)}
        try:
            (scores,) = session.run([output], inputs)
        except Exception as error:
            raise ConfigError(
                f"The model refuses what the schema prepares for it: {error}",
                fix="Compare sizes, channels and columns with the code that trained it, and list "
                "the classes: of a category that knows no others.",
            ) from error
        rows.append(np.asarray(scores, np.float64).ravel())
    if len({len(row) for row in rows}) > 1:
        raise ConfigError(
            "The output differs in length from row to row.", fix="Name another output:."
        )
    return np.stack(rows)


def _exposing(data: bytes, output: str) -> bytes:
    """Return the file with ``output`` among its outputs (it may be hidden behind a ZipMap)."""
    model = onnx.load_model_from_string(data)
    if output not in {value.name for value in model.graph.output}:
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)
        )
    return bytes(model.SerializeToString())


def _check_output(alone: NDArray[np.float64], schema: ImportSchema) -> None:
    """Refuse an output that is not what the schema says.

    Raises:
        ConfigError: its width is not the task's, or its values are no probabilities.
    """
    width, wanted = alone.shape[1], schema.task.raw_width
    if width != wanted and not (width == 1 and _two_classes(schema)):
        raise ConfigError(
            f"The output has {width} number(s) a row; the task needs {wanted}.",
            fix="Correct the task's classes, or name another output:.",
        )
    if not np.isfinite(alone).all():
        raise ConfigError("The model gives values that are not numbers on ordinary input.")
    sums = alone.sum(1) if width > 1 else alone[:, 0]
    exclusive = schema.task.is_classification
    inside = bool((alone >= -1e-6).all() and (alone <= 1 + 1e-6).all())
    summing = width == 1 or not exclusive or bool(np.allclose(sums, 1.0, atol=1e-3))
    if schema.gives == "probabilities" and not (inside and summing):
        raise ConfigError(
            f"The output is no probabilities: {np.round(alone[0, :4], 3).tolist()} …",
            fix="Say gives: logits.",
        )
    if schema.gives == "logits" and width > 1 and exclusive and inside and summing:
        raise ConfigError(
            "The output holds probabilities: every row sums to one.",
            fix="Say gives: probabilities.",
        )


def _two_classes(schema: ImportSchema) -> bool:
    return schema.task.is_classification and schema.task.width == 2


def _finish(graph: Graph, scores: str, schema: ImportSchema, width: int) -> str:
    """Add the last step: one column for two classes becomes two, logits become scores."""
    flat = graph.op("Flatten", graph.op("Cast", scores, to=1), axis=1)
    if width == 1 and _two_classes(schema):
        if schema.gives == "logits":
            flat = graph.op("Mul", flat, graph.const([[-0.5, 0.5]], "float32"))
        else:
            rest = graph.op("Sub", graph.const(1.0, "float32"), flat)
            flat = graph.op("Concat", rest, flat, axis=1)
    return flat if schema.gives == "probabilities" else schema.task.emit(graph, flat)


def _finished(alone: NDArray[np.float64], schema: ImportSchema) -> NDArray[np.float32]:
    """Return the same in NumPy."""
    if alone.shape[1] == 1 and _two_classes(schema):
        if schema.gives == "logits":
            alone = np.hstack([-alone / 2, alone / 2])
        else:
            alone = np.hstack([1 - alone, alone])
    if schema.gives == "probabilities":
        return alone.astype(np.float32)
    return schema.task.finish(alone)


def _run(model: ModelProto, trial: dict[str, NDArray[Any]], output: str) -> NDArray[np.float32]:
    try:
        (got,) = open_session(model.SerializeToString()).run([output], trial)
    except LeptaError:
        raise
    except Exception as error:
        raise ExportError(
            f"The model cannot take several rows at once: {error}",
            fix="Export it with a free number of rows (torch: dynamic_shapes or dynamic_axes; "
            "tf2onnx: an input signature of [None, ...]).",
        ) from error
    return np.asarray(got, np.float32)
