"""Models and what can be asked of them, in NumPy arrays, with no transport in sight.

The HTTP adapter is one way in; every other one (gRPC, a message queue) sits on the same class.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle import Bundle
from lepta.core.errors import InputError, LeptaError, ServeError, suggest
from lepta.core.schema import ARRAYS, Kind
from lepta.runtime import Predictor
from lepta.runtime.predictions import answers
from lepta.runtime.received import Column, bind_rows, datatype
from lepta.serving.binding import bind_packed, bind_tensors, count_rows
from lepta.serving.codec import as_objects, datatype_of
from lepta.serving.failures import TooLargeError, UnknownModelError

Array = NDArray[Any]
Source = Bundle | Path | str
PREDICTION = "prediction"
_PIECE = 64
"""Rows of media, texts or series that one call of the graph takes; more need much memory."""
_log = logging.getLogger("lepta.serving")


@dataclass(frozen=True)
class Tensor:
    """Name, protocol datatype and shape (-1 = rows) of an input or output, and notes on it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, Any]


class Model:
    """One version of one model, ready to answer from any thread.

    Args:
        name: name it is served under.
        version: its version.
        predictor: the loaded bundle.
        max_rows: most rows that one request may hold.
    """

    def __init__(self, name: str, version: str, predictor: Predictor, max_rows: int) -> None:
        self.name, self.version, self.predictor, self.max_rows = name, version, predictor, max_rows
        self.task, self.signature = predictor.task, predictor.signature
        self._packed = {tensor.name: tensor for tensor in self.signature.tensors}
        self._fields = {spec.name for spec in self.signature.inputs}
        self._wide = any(spec.kind in ARRAYS for spec in self.signature.inputs)
        self.inputs = tuple(self._input_tensors())
        self.outputs = tuple(self._output_tensors())

    def infer(
        self, inputs: Mapping[str, Array], outputs: Iterable[str] | None = None
    ) -> dict[str, Array]:
        """Answer tensors, one a field of the signature (or all the graph's own packed tensors).

        Args:
            inputs: by name; strings and files as object arrays.
            outputs: names wanted; None means all.

        Raises:
            InputError: an input or output does not fit the signature.
            TooLargeError: there are too many rows.
        """
        wanted = self._wanted(outputs)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = self._scores_of(inputs)
        if scores.dtype == object:
            raise InputError(
                "The images differ in size, and so do their answers; a tensor has one size.",
                fix="Send images of one size in a request, or rows to /predict.",
            )
        with np.errstate(over="ignore", invalid="ignore"):
            answers = {self.outputs[0].name: scores}
            if PREDICTION in wanted:
                answers[PREDICTION] = self._decide(scores)
        return {name: answers[name] for name in wanted}

    def predict(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answer rows of plain values (files as bytes or base64), one mapping a row.

        Each answer holds ``prediction`` and, for a classifier, ``probability`` by class.

        Raises:
            InputError: a row does not fit the signature.
            DecodeError: a file cannot be decoded.
            TooLargeError: there are too many rows.
        """
        self._check_count(len(rows))
        if not rows:
            return []
        columns = bind_rows(self.signature, rows)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = self._slow(columns)
        return answers(self.task.columns(scores), len(rows))

    def _scores_of(self, inputs: Mapping[str, Array]) -> NDArray[np.float32]:
        if inputs.keys() == self._packed.keys() and not inputs.keys() <= self._fields:
            tensors = {name: bind_packed(self._packed[name], a) for name, a in inputs.items()}
            self._check_count(count_rows(dict(tensors)))
            return self._run(tensors)
        columns, count = bind_tensors(self.signature, inputs)
        self._check_count(count)
        if count == 0:
            return self._nothing()
        arrays = {name: c for name, c in columns.items() if isinstance(c, np.ndarray)}
        if len(arrays) < len(self._fields):
            return self._slow(columns)
        return self._run(self.predictor.pack(arrays))

    def _run(self, tensors: dict[str, Array]) -> NDArray[np.float32]:
        count = len(next(iter(tensors.values())))
        if count == 0:
            return self._nothing()
        step = _PIECE if self._wide else count
        pieces = [
            self._graph({name: tensor[begin : begin + step] for name, tensor in tensors.items()})
            for begin in range(0, count, step)
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _graph(self, tensors: dict[str, Array]) -> NDArray[np.float32]:
        try:
            return self.predictor.run(tensors)
        except InputError as error:
            raise _refusal(error) from error

    def _slow(self, columns: Mapping[str, Column]) -> NDArray[np.float32]:
        try:
            return self.predictor.scores({n: list(c) for n, c in columns.items()})
        except InputError as error:
            raise _refusal(error) from error

    def _nothing(self) -> NDArray[np.float32]:
        return self.task.output().empty(0)

    def _decide(self, scores: NDArray[np.float32]) -> Array:
        answer = self.task.decide(scores)
        if answer.dtype == object:
            return as_objects([_as_text(value) for value in answer])
        return answer.astype(np.float32) if answer.dtype.kind == "f" else answer

    def _check_count(self, count: int) -> None:
        if count > self.max_rows:
            raise TooLargeError(
                f"The request holds {count} rows; at most {self.max_rows} are taken at once.",
                fix="Send them in several requests.",
            )

    def _wanted(self, outputs: Iterable[str] | None) -> list[str]:
        known = [tensor.name for tensor in self.outputs]
        if outputs is None:
            return known
        for name in outputs:
            if name not in known:
                raise InputError(
                    f"There is no output {name!r}.{suggest(name, known)}",
                    fix=f"The model gives: {', '.join(known)}.",
                )
        return list(outputs)

    def _input_tensors(self) -> Iterable[Tensor]:
        for spec in self.signature.inputs:
            notes: dict[str, Any] = {"kind": spec.kind.value, "required": spec.required}
            if spec.unit:
                notes["unit"] = spec.unit
            if spec.kind not in ARRAYS:
                yield Tensor(spec.name, datatype(spec.dtype), (-1,), notes)
            elif spec.kind in (Kind.SERIES, Kind.SEQUENCE):
                yield Tensor(spec.name, datatype(spec.dtype), spec.shape, notes)
            else:
                is_text = spec.kind == Kind.TEXT
                notes["content"] = "a text a row" if is_text else "an encoded file a row"
                notes["or"] = {"datatype": datatype(spec.dtype), "shape": list(spec.shape)}
                yield Tensor(spec.name, "BYTES", (-1,), notes)

    def _output_tensors(self) -> Iterable[Tensor]:
        output = self.task.output()
        classes = getattr(self.task, "classes", ())
        notes = {"classes": list(classes)} if classes else {}
        yield Tensor(output.name, datatype(output.dtype), output.shape, notes)
        decided = self._decide(output.empty(1, 1))
        free = tuple(-1 for _ in decided.shape)
        yield Tensor(PREDICTION, datatype_of(decided.dtype), free, {})


def _as_text(value: Any) -> Any:
    """Return an answer of several parts (labels, boxes) as JSON, which an element can hold."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


class DataPlane:
    """The models that are served, by name and version.

    Args:
        models: predictors by name; each becomes version 1.
        max_rows: most rows that one request may hold.
    """

    def __init__(self, models: Mapping[str, Predictor], max_rows: int = 10_000) -> None:
        self._models = {
            name: {"1": Model(name, "1", predictor, max_rows)} for name, predictor in models.items()
        }

    def model(self, name: str, version: str | None = None) -> Model:
        """Return a model; without a version, the newest.

        Raises:
            UnknownModelError: no such model or version; the nearest name is suggested.
        """
        versions = self._models.get(name)
        if versions is None:
            raise UnknownModelError(
                f"There is no model {name!r}.{suggest(name, self._models)}",
                fix=f"Served here: {', '.join(self._models)}.",
            )
        if version is None:
            return next(reversed(versions.values()))
        if version not in versions:
            raise UnknownModelError(
                f"Model {name!r} has no version {version!r}.", fix=f"It has: {', '.join(versions)}."
            )
        return versions[version]

    def models(self) -> list[Model]:
        """All models, in the order of their names."""
        return [
            model for _, versions in sorted(self._models.items()) for model in versions.values()
        ]

    def versions(self, name: str) -> list[str]:
        """Versions of a model, oldest first."""
        return list(self._models[name])


def named(models: Source | Mapping[str, Source] | Iterable[Source]) -> dict[str, Bundle]:
    """Load bundles and name them; without a name given, by what their manifests say.

    Raises:
        BundleError: a bundle is damaged.
        ServeError: there is none, or two have one name.
    """
    if isinstance(models, Mapping):
        found = [(str(name), _bundle(source)) for name, source in models.items()]
    else:
        several = [models] if isinstance(models, Bundle | Path | str) else list(models)
        found = [(bundle.manifest.name, bundle) for bundle in map(_bundle, several)]
    result = dict(found)
    if not result or "" in result:
        raise ServeError("There is no model to serve.", fix="Give a bundle or the path of one.")
    if len(result) < len(found):
        twice = next(name for name in result if [n for n, _ in found].count(name) > 1)
        raise ServeError(
            f"Two models are called {twice!r}.", fix="Give a mapping of names to bundles."
        )
    return result


def _bundle(source: Source) -> Bundle:
    return source if isinstance(source, Bundle) else Bundle.load(source)


def _refusal(error: InputError) -> LeptaError:
    """Return what a client may know of an error of the graph; the log gets the rest."""
    cause = error.__cause__
    if cause is None or not type(cause).__module__.startswith("onnxruntime"):
        return error
    _log.warning("The graph refused a request: %s", cause)
    return InputError(
        "The model cannot compute these inputs.",
        fix="Check the sizes: images may be too small for this model.",
    )
