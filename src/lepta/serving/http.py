"""The HTTP adapter: a bare ASGI application over the data plane."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from urllib.parse import unquote

from lepta.core.errors import LeptaError
from lepta.serving import describe, metrics, pages
from lepta.serving.bodies import read_rows, unpack
from lepta.serving.config import ServeConfig
from lepta.serving.dataplane import DataPlane, Model
from lepta.serving.failures import (
    MethodError,
    OverloadedError,
    RequestError,
    SlowClientError,
    TooLargeError,
    UnknownModelError,
    explain,
    status_of,
)
from lepta.serving.protocol import dump_json, parse_infer, render_infer
from lepta.serving.workers import Workers

Message = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]
_JSON = b"application/json"
_BINARY = b"application/octet-stream"
_HEAD_LENGTH = b"inference-header-content-length"
_CACHED_PATHS = 1024
_log = logging.getLogger("lepta.serving")


@dataclass(slots=True)
class Response:
    """Status, body, its content type, and further headers."""

    status: int
    body: bytes
    content_type: bytes = _JSON
    headers: Headers | None = None


@dataclass(slots=True)
class Call:
    """A request whose body is not yet read."""

    method: str
    headers: dict[bytes, bytes]
    names: tuple[str, ...]
    receive: Callable[[], Awaitable[Message]]

    def text(self, header: bytes) -> str:
        """Return a header as text, empty when absent."""
        return self.headers.get(header, b"").decode("latin-1").strip()


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


class Application:
    """The service as an ASGI application.

    Attributes:
        draining: set when the service is stopping; clients are then told to go away.
    """

    def __init__(self, plane: DataPlane, config: ServeConfig, workers: Workers) -> None:
        self.plane, self.config, self.workers = plane, config, workers
        self.metrics = metrics.Metrics()
        self.draining = False
        self._buffered = 0
        self._routes: dict[bytes, tuple[dict[str, Handler], tuple[str, ...]]] = {}

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            response = await self._respond(scope, receive)
        except ClientGoneError:
            return
        body = response.body
        headers = [
            (b"content-type", response.content_type),
            (b"content-length", b"%d" % len(body)),
        ]
        if response.headers:
            headers += response.headers
        if self.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: Message, receive: Callable[[], Awaitable[Message]]) -> Response:
        try:
            handlers, names = self._route(scope["raw_path"])
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            handler = handlers.get(method)
            if handler is None:
                return self._wrong_method(method, handlers)
            return await handler(self, Call(method, dict(scope["headers"]), names, receive))
        except LeptaError as error:
            response = self._failure(error)
            if (b"expect", b"100-continue") in scope["headers"]:
                # the body may not follow now, so what comes next cannot be told
                response.headers = [*(response.headers or ()), (b"connection", b"close")]
            return response
        except (ClientGoneError, asyncio.CancelledError):
            raise
        except Exception as error:
            return _internal(error)

    def _route(self, path: bytes) -> tuple[dict[str, Handler], tuple[str, ...]]:
        found = self._routes.get(path)
        if found is None:
            found = _find(path)
            if len(self._routes) < _CACHED_PATHS:
                self._routes[path] = found
        return found

    def _failure(self, error: LeptaError) -> Response:
        status = status_of(error)
        if status == 500:
            return _internal(error)
        headers: Headers = []
        if status in (429, 503):
            headers.append((b"retry-after", b"1"))
        if isinstance(error, SlowClientError):
            headers.append((b"connection", b"close"))
        return Response(status, dump_json({"error": explain(error)}), headers=headers)

    def _wrong_method(self, method: str, handlers: dict[str, Handler]) -> Response:
        allowed = ", ".join(handlers)
        error = MethodError(f"{method} is not possible here.", fix=f"Use {allowed}.")
        response = self._failure(error)
        response.headers = [(b"allow", allowed.encode())]
        return response

    # Reading

    async def body(self, call: Call) -> bytes:
        """Return the whole body.

        Raises:
            TooLargeError: it is over the limit.
            SlowClientError: it does not arrive in time.
            OverloadedError: too many bodies are being received.
        """
        if int(call.headers.get(b"content-length", b"0")) > self.config.max_body:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.config.body_timeout):
                while True:
                    message = await call.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    chunk = message.get("body", b"")
                    if not message.get("more_body", False) and not chunks:
                        return self._within(chunk, len(chunk))
                    chunks.append(chunk)
                    size += len(chunk)
                    self._buffered += len(chunk)
                    self._within(chunk, size)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError as error:
            raise SlowClientError("The body of the request did not arrive in time.") from error
        finally:
            self._buffered -= size

    def _within(self, chunk: bytes, size: int) -> bytes:
        if size > self.config.max_body:
            raise self._too_large()
        if self._buffered > self.config.max_memory:
            raise OverloadedError("Too much is being received.", fix="Try again later.")
        return chunk

    def _too_large(self) -> TooLargeError:
        return TooLargeError(
            f"The body is larger than {self.config.max_body} bytes.",
            fix="Send fewer rows at once, or raise max_body.",
        )

    # Predicting

    async def infer(self, call: Call) -> Response:
        """POST /v2/models/{m}[/versions/{v}]/infer."""
        return await self._compute(call, self._infer)

    async def predict(self, call: Call) -> Response:
        """POST /predict/{m}."""
        return await self._compute(call, self._predict)

    async def _compute(self, call: Call, job: Callable[[Model, bytes, Call], Response]) -> Response:
        model = self.plane.model(*call.names)
        status, begin = 500, perf_counter()
        try:
            self.workers.check()
            body = await self.body(call)
            begin = perf_counter()
            response = await self.workers.run(job, model, body, call)
            status = 200
        except LeptaError as error:
            status = status_of(error)
            raise
        finally:
            self.metrics.record(model.name, model.version, status, perf_counter() - begin)
        return response

    def _infer(self, model: Model, body: bytes, call: Call) -> Response:
        """Runs in a worker thread."""
        body = unpack(body, call.text(b"content-encoding").lower(), self.config.max_body)
        request = parse_infer(body, _head_length(call))
        outputs = model.infer(request.inputs, request.outputs)
        head = {"model_name": model.name, "model_version": model.version}
        payload, length = render_infer(head, outputs, request)
        if length is None:
            return Response(200, payload)
        return Response(200, payload, _BINARY, [(_HEAD_LENGTH, b"%d" % length)])

    def _predict(self, model: Model, body: bytes, call: Call) -> Response:
        """Runs in a worker thread."""
        body = unpack(body, call.text(b"content-encoding").lower(), self.config.max_body)
        rows = read_rows(body, call.text(b"content-type"), model.signature)
        document = {
            "model": model.name,
            "version": model.version,
            "predictions": model.predict(rows),
        }
        return Response(200, dump_json(document))

    # Describing

    async def server(self, call: Call) -> Response:
        """GET /v2."""
        return Response(200, dump_json(describe.server_metadata()))

    async def live(self, call: Call) -> Response:
        """GET /v2/health/live."""
        return Response(200, dump_json({"live": True}))

    async def ready(self, call: Call) -> Response:
        """GET /v2/health/ready: 503 while the service stops."""
        ready = not self.draining
        return Response(200 if ready else 503, dump_json({"live": True, "ready": ready}))

    async def metadata(self, call: Call) -> Response:
        """GET /v2/models/{m}[/versions/{v}]."""
        model = self.plane.model(*call.names)
        versions = self.plane.versions(model.name)
        return Response(200, dump_json(describe.model_metadata(model, versions, self.config)))

    async def model_ready(self, call: Call) -> Response:
        """GET /v2/models/{m}[/versions/{v}]/ready."""
        model = self.plane.model(*call.names)
        return Response(200, dump_json({"name": model.name, "ready": True}))

    async def model_config(self, call: Call) -> Response:
        """GET /v2/models/{m}[/versions/{v}]/config."""
        model = self.plane.model(*call.names)
        return Response(200, dump_json(describe.model_config(model, self.config)))

    async def stats(self, call: Call) -> Response:
        """GET /v2/models[/{m}[/versions/{v}]]/stats."""
        models = [self.plane.model(*call.names)] if call.names else self.plane.models()
        stats = [describe.model_stats(model, self.metrics) for model in models]
        return Response(200, dump_json({"model_stats": stats}))

    async def index(self, call: Call) -> Response:
        """POST /v2/repository/index; the body may be empty."""
        await self.body(call)
        return Response(200, dump_json(describe.repository_index(self.plane)))

    async def metrics_page(self, call: Call) -> Response:
        """GET /metrics."""
        models = [(m.name, m.version, m.task.name) for m in self.plane.models()]
        text = self.metrics.text(self.workers.in_flight, models)
        return Response(200, text.encode(), metrics.CONTENT_TYPE.encode())

    async def openapi(self, call: Call) -> Response:
        """GET /openapi.json."""
        return Response(200, dump_json(pages.openapi(self.plane, self.config)))

    async def docs(self, call: Call) -> Response:
        """GET /docs."""
        return _page(pages.docs_page())

    async def landing(self, call: Call) -> Response:
        """GET /."""
        return _page(pages.landing_page(self.plane))


Handler = Callable[[Application, Call], Awaitable[Response]]


def _page(html: str) -> Response:
    headers = [(b"content-security-policy", pages.POLICY), (b"x-content-type-options", b"nosniff")]
    return Response(200, html.encode(), b"text/html; charset=utf-8", headers)


def _internal(error: Exception) -> Response:
    """Log an unforeseen error in full and answer with no more than its number."""
    number = secrets.token_hex(6)
    _log.error("Error %s: %s", number, error, exc_info=error)
    text = f"Internal error {number}. The log of the service says more under this number."
    return Response(500, dump_json({"error": text}))


def _head_length(call: Call) -> int | None:
    text = call.text(_HEAD_LENGTH)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise RequestError(f"Inference-Header-Content-Length {text[:40]!r} is not a number.")
    return int(text)


_Path = tuple[str | None, ...]
_MODEL: tuple[_Path, _Path] = (
    ("v2", "models", None),
    ("v2", "models", None, "versions", None),
)


def _on(method: str, handler: Handler, *paths: _Path) -> list[tuple[_Path, dict[str, Handler]]]:
    return [(path, {method: handler}) for path in paths]


_TABLE = [
    *_on("GET", Application.landing, ("",)),
    *_on("GET", Application.docs, ("docs",)),
    *_on("GET", Application.openapi, ("openapi.json",)),
    *_on("GET", Application.metrics_page, ("metrics",)),
    *_on("POST", Application.predict, ("predict", None)),
    *_on("GET", Application.server, ("v2",)),
    *_on("GET", Application.live, ("v2", "health", "live")),
    *_on("GET", Application.ready, ("v2", "health", "ready")),
    *_on("POST", Application.index, ("v2", "repository", "index")),
    *_on("GET", Application.stats, ("v2", "models", "stats")),
    *_on("GET", Application.metadata, *_MODEL),
    *_on("GET", Application.model_ready, *((*path, "ready") for path in _MODEL)),
    *_on("GET", Application.model_config, *((*path, "config") for path in _MODEL)),
    *_on("GET", Application.stats, *((*path, "stats") for path in _MODEL)),
    *_on("POST", Application.infer, *((*path, "infer") for path in _MODEL)),
]


def _find(path: bytes) -> tuple[dict[str, Handler], tuple[str, ...]]:
    text = path.decode("latin-1")
    parts = text.strip("/").split("/")
    for pattern, handlers in _TABLE:
        if len(pattern) == len(parts) and all(
            want in (None, got) for want, got in zip(pattern, parts, strict=True)
        ):
            pairs = zip(pattern, parts, strict=True)
            return handlers, tuple(unquote(got) for want, got in pairs if want is None)
    raise UnknownModelError(f"There is nothing at {text[:200]}.", fix="See / for what there is.")
