"""A client for the service; needs no more than what predicts on a device."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from lepta.bundle.manifest import InputSpec, Signature
from lepta.core.errors import InputError, ServeError, Where, suggest
from lepta.core.schema import ARRAYS, Kind
from lepta.runtime.fields import fit_sequence, fit_series, is_absent
from lepta.runtime.pack import fit_media, load_media, to_array
from lepta.runtime.predictions import Predictions, gather
from lepta.runtime.rows import Columns, to_columns
from lepta.serving.codec import as_objects, datatype_of, decode_binary, encode_binary
from lepta.tasks import Task, task_from_json

Array = NDArray[Any]
_HEAD_LENGTH = "Inference-Header-Content-Length"
_LARGEST_SHARE = 0.75
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


def connect(url: str, model: str | None = None, timeout: float = 60.0) -> Client:
    """Return a client of one model of a service.

    Args:
        url: address of the service, such as "http://127.0.0.1:8080".
        model: name of the model, "name@version" for a certain version; may be left out where
            only one is served.
        timeout: seconds to wait for an answer.

    Raises:
        ServeError: nothing answers there, or it has no such model.
    """
    return Client(url, model, timeout)


class Client:
    """A model behind a URL; predicts like a local one. Safe to use from several threads.

    Args:
        url: address of the service.
        model: name of the model; may be left out where only one is served.
        timeout: seconds to wait for an answer.

    Attributes:
        url: address of the service.
        model: name of the model.
        version: version of the model that answers.
        metadata: all that the service tells of the model.
    """

    def __init__(self, url: str, model: str | None = None, timeout: float = 60.0) -> None:
        self._http = _Http(url, timeout)
        self.url = self._http.url
        name, _, version = (model or self._only_model()).partition("@")
        self.model = name
        self._path = f"/v2/models/{quote(name, safe='')}"
        if version:
            self._path += f"/versions/{quote(version, safe='')}"
        self.metadata: dict[str, Any] = self._get_model()
        details = self.metadata.get("parameters")
        if not isinstance(details, dict) or "signature" not in details:
            raise ServeError(
                f"{self.url} does not serve {name!r} with Lepta.",
                fix="Use a general client of the Open Inference Protocol, such as tritonclient.",
            )
        self.version = str(details.get("version", "1"))
        self._max_rows = int(details["max_rows"])
        self._max_bytes = int(details["max_body"] * _LARGEST_SHARE)
        self._signature = Signature.model_validate(details["signature"])
        self._task = task_from_json(details["task"])

    @property
    def signature(self) -> Signature:
        """The fields taken and the outputs given."""
        return self._signature

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self._task

    def ready(self) -> bool:
        """Whether the model answers now."""
        try:
            return self._http.send("GET", f"{self._path}/ready")[0] == 200
        except ServeError:
            return False

    def predict(self, rows: Any) -> Predictions:
        """Predict rows, like :meth:`lepta.runtime.Predictor.predict`.

        Args:
            rows: a mapping of values (one row), a list of mappings, a mapping of columns, a table,
                or, for a model with one input, a path, bytes, an array, or a list of them. Files
                are read here and sent as bytes.

        Raises:
            InputError: a field is missing or does not fit; the row and field are named.
            DataError: a file cannot be read.
            ServeError: the service cannot be reached, is busy, or fails.
        """
        columns, count = to_columns(rows, self._signature)
        ready = {
            spec.name: self._prepare(spec, columns)
            for spec in self._signature.inputs
            if spec.name in columns
        }
        pieces = (
            (index, self.infer({name: _stack(values, index) for name, values in ready.items()}))
            for index in self._batches(ready, count)
        )
        return Predictions(gather(pieces, count, self._task.output()), self._task)

    def infer(self, inputs: Mapping[str, Array]) -> NDArray[np.float32]:
        """Send tensors, one a field, in one binary request; return the scores (rows, width).

        Args:
            inputs: arrays by field; files as an object array of bytes.

        Raises:
            InputError: the service refuses the inputs; it says why.
            ServeError: the service cannot be reached, is busy, or fails.
        """
        chunks = {name: encode_binary(array) for name, array in inputs.items()}
        head = {
            "inputs": [
                {
                    "name": name,
                    "datatype": datatype_of(array.dtype),
                    "shape": array.shape,
                    "parameters": {"binary_data_size": len(chunks[name])},
                }
                for name, array in inputs.items()
            ],
            "outputs": [{"name": self._task.output().name, "parameters": {"binary_data": True}}],
        }
        text = json.dumps(head).encode()
        text = text.ljust(-(-len(text) // 8) * 8)
        status, headers, body = self._http.send(
            "POST",
            f"{self._path}/infer",
            b"".join((text, *chunks.values())),
            {_HEAD_LENGTH: str(len(text)), "Content-Type": "application/octet-stream"},
        )
        if status != 200:
            raise self._failure(status, body)
        length = int(headers.get(_HEAD_LENGTH) or 0)
        output = json.loads(body[:length])["outputs"][0]
        scores = decode_binary("scores", output["datatype"], output["shape"], body[length:])
        return np.asarray(scores, np.float32)

    def close(self) -> None:
        """Close the connections; the client opens new ones when it is used again."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client of {self.model!r} at {self.url}>"

    def _only_model(self) -> str:
        names = sorted({str(entry["name"]) for entry in self._index()})
        if len(names) != 1:
            raise ServeError(
                f"{self.url} serves {len(names)} models.",
                fix=f"Name one: {', '.join(names)}." if names else None,
            )
        return names[0]

    def _index(self) -> list[dict[str, Any]]:
        status, _, body = self._http.send("POST", "/v2/repository/index")
        index = _document(body)
        if status != 200 or not isinstance(index, list):
            raise ServeError(
                f"What answers at {self.url} is not a Lepta service (status {status}).",
                fix="Check the address.",
            )
        return index

    def _get_model(self) -> dict[str, Any]:
        status, _, body = self._http.send("GET", self._path)
        document = _document(body)
        if status == 200 and isinstance(document, dict):
            return document
        names = [str(entry["name"]) for entry in self._index()]
        raise ServeError(
            f"{self.url} serves no model {self.model!r}.{suggest(self.model, names)}",
            fix=f"It serves: {', '.join(names)}.",
        )

    def _prepare(self, spec: InputSpec, columns: Columns) -> Array | list[Any]:
        values = columns[spec.name]
        if spec.kind not in ARRAYS:
            return to_array(spec, values)
        return [_own(spec, row, value) for row, value in enumerate(values)]

    def _batches(
        self, columns: Mapping[str, Array | list[Any]], count: int
    ) -> Iterator[NDArray[np.int64]]:
        """Yield row numbers: as many as one request takes, media of one form together.

        Where an answer is as large as its image, a request has one image: a tensor has one size.
        """
        ragged = any(size == -1 for size in self._task.output().shape[1:])
        most = 1 if ragged else self._max_rows
        media = [values for values in columns.values() if isinstance(values, list)]
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for row in range(count):
            groups[tuple(_form(values[row]) for values in media)].append(row)
        for group in groups.values():
            batch: list[int] = []
            size = 0
            for row in group:
                more = sum(_size(values[row]) for values in media) + 64 * len(columns)
                if batch and (len(batch) >= most or size + more > self._max_bytes):
                    yield np.array(batch)
                    batch, size = [], 0
                batch.append(row)
                size += more
            yield np.array(batch)

    def _failure(self, status: int, body: bytes) -> InputError | ServeError:
        document = _document(body)
        text = document.get("error") if isinstance(document, dict) else None
        said = str(text or f"status {status}")
        if status in (400, 413):
            return InputError(said)
        if status in (429, 503):
            return ServeError(f"The service is busy: {said}", fix="Try again in a second.")
        return ServeError(f"The service at {self.url} failed: {said}")


class _Http:
    """One kept connection a thread, opened anew where the service has closed it."""

    def __init__(self, url: str, timeout: float) -> None:
        self._open: set[http.client.HTTPConnection] = set()
        self._local = threading.local()
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServeError(f"{url!r} is not an address.", fix="Write http://127.0.0.1:8080.")
        self._secure = parts.scheme == "https"
        self._host, self._timeout = parts.hostname, timeout
        self._port = parts.port or (443 if self._secure else 80)
        self._base = parts.path.rstrip("/")
        self.url = f"{parts.scheme}://{parts.netloc}{self._base}"

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return status, headers and body of the answer.

        Raises:
            ServeError: there is none.
        """
        try:
            if getattr(self._local, "connection", None) is not None:
                with contextlib.suppress(*_STALE):
                    return self._once(method, path, body, headers or {})
                self._drop()
            return self._once(method, path, body, headers or {})
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise ServeError(
                f"Nothing answers at {self.url}: {error or type(error).__name__}.",
                fix="Check the address, and that the service is running (`lepta serve`).",
            ) from error

    def close(self) -> None:
        """Close the connections of all threads; each opens a new one when it asks again."""
        for connection in list(self._open):
            connection.close()
        self._open.clear()

    def __del__(self) -> None:
        self.close()

    def _drop(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._open.discard(connection)
        self._local.connection = None

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            connection = kind(self._host, self._port, timeout=self._timeout)
            self._local.connection = connection
            self._open.add(connection)
        connection.request(method, self._base + path, body, dict(headers))
        answer = connection.getresponse()
        data = answer.read()
        if answer.will_close:
            self._drop()
        return answer.status, answer.headers, data


def _own(spec: InputSpec, row: int, value: Any) -> bytes | Array:
    """Return what is sent for a value: the bytes of a file or text (none: missing), or an array."""
    if spec.kind == Kind.SEQUENCE:
        return fit_sequence(spec, value, Where(row=row + 1, field=spec.name))
    if spec.kind == Kind.SERIES:
        return fit_series(
            spec, [] if is_absent(value) else value, Where(row=row + 1, field=spec.name)
        )
    if is_absent(value):
        return b""
    if spec.kind == Kind.TEXT and not isinstance(value, bytes | np.ndarray):
        return str(value).encode()
    loaded, where = load_media(spec, value, row)
    return loaded if isinstance(loaded, bytes) else fit_media(spec, loaded, where)


def _stack(values: Array | list[Any], index: NDArray[np.int64]) -> Array:
    if isinstance(values, np.ndarray):
        return values[index]
    chosen = [values[row] for row in index.tolist()]
    return as_objects(chosen) if isinstance(chosen[0], bytes) else np.stack(chosen)


def _form(value: bytes | Array) -> Any:
    return "file" if isinstance(value, bytes) else value.shape


def _size(value: bytes | Array) -> int:
    return len(value) if isinstance(value, bytes) else value.nbytes


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
