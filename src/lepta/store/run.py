"""One run: parameters, metrics over steps, artefacts."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from lepta.core.errors import StoreError, Where
from lepta.core.files import sha256_file
from lepta.store.border import call, environment, load

_BATCH = 1000
"""Metrics in one request; MLflow's limit."""
_PARAMS = 100
"""Parameters in one request; MLflow's limit."""
_LONGEST = 6000
"""Characters of a parameter; MLflow's limit."""
_KEY = 250
"""Characters of a name; MLflow's limit."""
_PAUSE = 2.0
"""Seconds between two batches."""


class Run:
    """A run that is being recorded; made by ``Store.run`` and used as a context manager.

    Metrics are buffered and written in batches by a thread of their own. A block that raises
    leaves the run "failed" (Ctrl-C: "killed"), with everything logged before.
    """

    def __init__(self, client: Any, id: str) -> None:  # noqa: A002
        self.id = id
        self._client = client
        self._metrics: list[tuple[str, float, int, int]] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._error: StoreError | None = None
        self._writer = threading.Thread(target=self._write_on, name=f"run-{id[:8]}", daemon=True)

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record ``metrics`` at ``step``. Returns at once; the values are written later.

        Raises:
            StoreError: writing an earlier batch failed.
        """
        now = int(time.time() * 1000)
        self.log_all((key, float(value), now, step or 0) for key, value in metrics.items())

    def log_all(self, rows: Iterable[tuple[str, float, int, int]]) -> None:
        """Record rows of (name, value, milliseconds since 1970, step); see :meth:`log`."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        added = list(rows)
        with self._lock:
            self._metrics.extend(added)
            full = len(self._metrics) >= _BATCH
        if full:
            self._wake.set()

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters; values are kept as text.

        Raises:
            StoreError: the store cannot write.
        """
        entities = load("mlflow.entities")
        rows = [entities.Param(metric_name(k), str(v)[:_LONGEST]) for k, v in params.items()]
        for begin in range(0, len(rows), _PARAMS):
            chunk = rows[begin : begin + _PARAMS]
            call("Logging parameters", self._client.log_batch, self.id, params=chunk)

    def log_bundle(self, path: Path | str) -> str:
        """Keep a bundle file as an artefact of the run; return its SHA-256.

        Raises:
            StoreError: there is no such file, or the store cannot write.
        """
        path = Path(path)
        if not path.is_file():
            raise StoreError(
                f"{path.name!r} is not a file.",
                where=Where(file=str(path)),
                fix="Save the bundle as one file: bundle.save('NAME.lepta').",
            )
        digest = sha256_file(path)
        call("Storing the bundle", self._client.log_artifact, self.id, str(path))
        tag = bundle_tag(path.name)
        call("Storing the bundle", self._client.set_tag, self.id, tag, digest)
        return digest

    def flush(self) -> None:
        """Write what is buffered.

        Raises:
            StoreError: the store cannot write.
        """
        entities = load("mlflow.entities")
        while True:
            with self._lock:
                rows, self._metrics = self._metrics[:_BATCH], self._metrics[_BATCH:]
            if not rows:
                return
            batch = [
                entities.Metric(metric_name(key), _finite(value), when, step)
                for key, value, when, step in rows
            ]
            call("Logging metrics", self._client.log_batch, self.id, metrics=batch)

    def __enter__(self) -> Run:
        self._writer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status = "finished"
        if kind is not None:
            status = "killed" if issubclass(kind, KeyboardInterrupt) else "failed"
        self._closed = True
        self._wake.set()
        self._writer.join()
        try:
            self.end(status)
        except StoreError as failure:
            if error is None:
                raise
            error.add_note(f"The run {self.id} could not be closed: {failure.what}")

    def end(self, status: str) -> None:
        """Write what is buffered and close the run: "finished", "failed" or "killed".

        Raises:
            StoreError: the store cannot write; the run is then "failed" where that much works.
        """
        try:
            if self._error is not None:
                raise self._error
            self.flush()
        except StoreError:
            self._end("FAILED")
            raise
        self._end(status.upper())

    def _end(self, status: str) -> None:
        with environment({"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}):
            call("Closing the run", self._client.set_terminated, self.id, status)

    def _write_on(self) -> None:
        while not self._closed:
            self._wake.wait(_PAUSE)
            self._wake.clear()
            try:
                self.flush()
            except StoreError as error:
                self._error = error


def metric_name(name: str) -> str:
    """Return ``name`` as MLflow allows it: "recall[a]" becomes "recall.a"."""
    text = re.sub(r"[^\w/.\- :]", "_", re.sub(r"\[([^\]]*)\]", r".\1", name))
    path = "/".join(part for part in text.split("/") if part.strip("."))[:_KEY] or "_"
    return f"_{path[1:]}" if path.startswith("..") else path


def bundle_tag(filename: str) -> str:
    """Return the tag of a run that holds the SHA-256 of the bundle ``filename``."""
    return f"lepta.bundle.{metric_name(filename)}"


def _finite(value: float) -> float:
    """SQL stores of MLflow keep infinities as the largest double."""
    return math.copysign(1.7976931348623157e308, value) if math.isinf(value) else value
