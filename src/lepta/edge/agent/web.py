"""A small HTTP server of the standard library, for a device and for a hub of some hundred devices.

Safe by default: bodies, connections and silences are limited, errors of the inside stay inside, and
no page of another site may ask.
"""

from __future__ import annotations

import errno
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lepta.core.errors import EdgeError, LeptaError
from lepta.edge.agent.config import ListenConfig

_log = logging.getLogger("lepta.edge")
_PIECE = 1 << 16
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class AskedError(EdgeError):
    """A request that is refused.

    Attributes:
        status: the HTTP status of the answer.
    """

    code = "request"

    def __init__(self, status: int, what: str, *, fix: str | None = None) -> None:
        super().__init__(what, fix=fix)
        self.status = status


@dataclass(frozen=True)
class Request:
    """A request, its body received; names of headers are in small letters."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """An answer: bytes, or a part of a file.

    Attributes:
        body: what is sent, where there is no file.
        status: HTTP status.
        kind: the content type.
        headers: further ones.
        file: whose bytes from ``begin`` on are sent.
        begin: where they begin.
        size: how many they are.
    """

    body: bytes = b""
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    begin: int = 0
    size: int = 0


Application = Callable[[Request], Answer]
"""Answers a request; an :class:`AskedError` is told with its status, any LeptaError with 400."""


def as_json(value: Any, status: int = 200) -> Answer:
    """Return a JSON answer; NumPy values are written as numbers, what is not a number as null."""
    return Answer(json.dumps(_finite(value), ensure_ascii=False).encode(), status)


def _finite(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lepta", ""
    wbufsize, disable_nagle_algorithm = 1 << 16, True  # else head and body wait for each other
    server: _Server

    def setup(self) -> None:
        self.request.settimeout(self.server.config.timeout)
        super().setup()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        _log.debug(format, *args)

    def _answer(self) -> None:
        try:
            answer = self.server.application(self._request())
        except AskedError as error:
            answer = as_json({"error": told(error), "code": error.code}, error.status)
        except LeptaError as error:
            answer = as_json({"error": told(error), "code": error.code}, 400)
        except Exception:
            _log.exception("A request failed")
            answer = as_json({"error": "Something unforeseen; the log tells.", "code": "bug"}, 500)
        self._send(answer)

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        origin = self.headers.get("Origin")
        if origin and urlsplit(origin).netloc != self.headers.get("Host"):
            self.close_connection = True
            raise AskedError(403, "Pages of other sites may not ask here.")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(
            self.command, parts.path, dict(parse_qsl(parts.query)), headers, self._body()
        )

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise AskedError(411, "Say how long the body is (Content-Length).")
        if int(length) > self.server.config.max_body:
            self.close_connection = True
            raise AskedError(413, f"The body is over {self.server.config.max_body:,} bytes.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            raise AskedError(400, "The body is cut off.")
        return body

    def _send(self, answer: Answer) -> None:
        size = answer.size if answer.file else len(answer.body)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(size))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.file is None:
            self.wfile.write(answer.body)
            return
        with answer.file.open("rb") as stream:
            stream.seek(answer.begin)
            while size > 0 and (piece := stream.read(min(size, _PIECE))):
                self.wfile.write(piece)
                size -= len(piece)


def told(error: LeptaError) -> str:
    """Return an error as one line for a client."""
    where = f" ({error.where})" if error.where is not None and str(error.where) else ""
    return f"{error.what}{where}{' ' + error.fix if error.fix else ''}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, application: Application, config: ListenConfig) -> None:
        self.application, self.config = application, config
        self._room = threading.BoundedSemaphore(config.connections)
        if ":" in config.host:
            self.address_family = socket.AF_INET6
        super().__init__((config.host, config.port), _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # without looking up a name for the address
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        try:
            request.sendall(_BUSY)
        except OSError:
            _log.debug("A client left before it was told that there is no room")
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("A connection broke", exc_info=True)


class Service:
    """A running server, in threads of this process.

    Args:
        application: answers requests.
        config: where to listen and what to refuse.

    Raises:
        EdgeError: the port is in use, or the address is not one of this machine.
    """

    def __init__(self, application: Application, config: ListenConfig) -> None:
        try:
            self._server = _Server(application, config)
        except OSError as error:
            raise _cannot_listen(error, config) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="lepta-http", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """URL that reaches it from this machine."""
        host, port = self._server.server_address[:2]
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(host), str(host))  # noqa: S104
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def close(self) -> None:
        """Take no more requests."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _cannot_listen(error: OSError, config: ListenConfig) -> EdgeError:
    if error.errno == errno.EADDRINUSE:
        return EdgeError(
            f"Port {config.port} on {config.host} is in use by another program.",
            fix="Stop that program, or choose another --port; 0 picks a free one.",
        )
    return EdgeError(
        f"Port {config.port} on {config.host!r} cannot be opened: {error.strerror or error}."
    )
