"""What a device saw in a stretch of time, as one record: profiles and metrics, no values."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle import Bundle
from lepta.bundle.manifest import InputSpec
from lepta.core.schema import ARRAYS, MEDIA, Kind
from lepta.edge.agent.config import WindowConfig
from lepta.edge.agent.summaries import Labels, Numbers, Summary
from lepta.tasks import Task

Array = NDArray[Any]
Columns = dict[str, Array]
"""One value a row of each field."""
Record = dict[str, Any]
_SECONDS = np.geomspace(1e-4, 100, 19)
_SHARES = np.linspace(0, 1, 21)
_LARGE = 4096
"""Numbers in the scores of one row from which on only their mean is told: maps, as of masks."""


class Window:
    """Gathers profiles of one version of a bundle. Safe to use from many threads.

    Args:
        bundle: whose ``profile.json`` gives the bins; without one, bins are coarse and universal.
        config: when a window ends.
    """

    def __init__(self, bundle: Bundle, config: WindowConfig) -> None:
        self._bundle, self._config = bundle, config
        self._profile = _profile(bundle)
        self._specs = {spec.name: spec for spec in bundle.signature.inputs}
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._from, self._begun = time.time(), time.monotonic()
        self._rows = 0
        self._errors: dict[str, int] = {}
        self._latency = Numbers(_SECONDS)
        self._fields = {
            name: _summary(spec, self._profile.get(name, {})) for name, spec in self._specs.items()
        }
        self._answers: dict[str, Summary] = {}

    @property
    def due(self) -> bool:
        """Whether it is time to end the window."""
        late = time.monotonic() - self._begun >= self._config.seconds
        with self._lock:
            return self._rows >= self._config.rows or (late and self._seen)

    @property
    def _seen(self) -> bool:
        return bool(self._rows or self._errors)

    def columns(self, tensors: Mapping[str, Array]) -> Columns:
        """Return one value a row of each field: values, means of media, lengths of texts."""
        return {
            name: _column(self._specs[name], place, tensors[tensor.name])
            for tensor in self._bundle.signature.tensors
            for place, name in enumerate(tensor.fields)
        }

    def add(self, seen: Sequence[Columns], scores: Array, seconds: float) -> None:
        """Take what a call saw, the scores it gave, and the time it took."""
        answers = describe_answers(self._bundle.task, scores)
        with self._lock:
            self._rows += len(scores)
            self._latency.add([seconds])
            for columns in seen:
                for name, values in columns.items():
                    self._fields[name].add(values)
            for name, values in answers.items():
                if name not in self._answers:
                    target = self._profile.get(self._bundle.task.target, {})
                    self._answers[name] = _answer_summary(self._bundle.task, name, values, target)
                self._answers[name].add(values)

    def failed(self, code: str) -> None:
        """Count a call that failed; what it was about is not kept."""
        with self._lock:
            self._errors[code] = self._errors.get(code, 0) + 1

    def end(self) -> Record | None:
        """Return the record of the window and begin the next; None where nothing was seen."""
        with self._lock:
            if not self._seen:
                self._begin()
                return None
            record = self._record()
            self._begin()
            return record

    def _record(self) -> Record:
        least = self._config.least
        enough = self._rows >= least
        return {
            "kind": "window",
            "version": self._bundle.digest,
            "from": _iso(self._from),
            "to": _iso(time.time()),
            "rows": self._rows,
            "errors": self._errors,
            "least": least,
            "latency": self._latency.tell(1),
            "inputs": {n: s.tell(least) for n, s in self._fields.items()} if enough else {},
            "answers": {n: s.tell(least) for n, s in self._answers.items()} if enough else {},
        }


def _column(spec: InputSpec, place: int, array: Array) -> Array:
    if spec.kind in ARRAYS:
        return _one_a_row(spec, array)
    return array if array.ndim == 1 else array[:, place]


def describe_answers(task: Task, scores: Array) -> dict[str, Array]:
    """Return what is told of scores, one value a row: answers, probabilities, sizes, means."""
    if scores.dtype == object or scores[0].size > _LARGE:
        return {"mean score": _reduced(scores)}
    return {name: _reduced(values) for name, values in task.columns(scores).items()}


def _reduced(values: Array) -> Array:
    """Return one number or text a row: of lists the length, of arrays the mean."""
    if values.dtype != object and values.ndim == 1:
        return values
    return np.array([_one(value) for value in values], _kind(values))


def _kind(values: Array) -> type:
    return object if values.dtype.kind in "OU" and isinstance(values[0], str) else np.float64


def _one(value: Any) -> Any:
    if isinstance(value, list | dict):
        return len(value)
    return np.mean(value) if isinstance(value, np.ndarray) else value


def _answer_summary(task: Task, name: str, values: Array, target: Mapping[str, Any]) -> Summary:
    if values.dtype.kind in "OU":
        return Labels(getattr(task, "classes", ()))
    if name == "prediction" and _edges(target):
        return Numbers(_edges(target))
    return Numbers(_SHARES) if task.bounded and name != "prediction" else Numbers()


def _summary(spec: InputSpec, profile: Mapping[str, Any]) -> Summary:
    if spec.kind in ARRAYS:
        return Numbers()
    if spec.dtype == "string":
        counts = profile.get("counts")
        return Labels({*(counts if isinstance(counts, dict) else ()), *spec.classes})
    return Numbers(_edges(profile)) if _edges(profile) else Numbers()


def _edges(profile: Mapping[str, Any]) -> list[float]:
    histogram = profile.get("histogram")
    edges = histogram.get("edges") if isinstance(histogram, dict) else None
    plain = isinstance(edges, list) and all(isinstance(edge, int | float) for edge in edges)
    return list(edges) if plain and isinstance(edges, list) else []


def _profile(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Return the profile of each field; of a profile that is none, nothing."""
    if "profile.json" not in bundle.names:
        return {}
    try:
        fields = json.loads(bundle.read("profile.json"))["fields"]
    except (ValueError, KeyError, TypeError):
        return {}
    if not isinstance(fields, dict):
        return {}
    return {name: about for name, about in fields.items() if isinstance(about, dict)}


def _one_a_row(spec: InputSpec, array: Array) -> Array:
    """Return one number a row: mean of media and series, length of texts and sequences."""
    flat = array.reshape(len(array), -1)
    if spec.kind == Kind.SEQUENCE:
        return np.asarray((flat != "").sum(axis=1))
    if spec.kind not in MEDIA | {Kind.SERIES}:
        return np.asarray((flat != 0).sum(axis=1))
    there = np.isfinite(flat)
    total = np.where(there, flat, 0).sum(axis=1, dtype=np.float64)
    count = there.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
