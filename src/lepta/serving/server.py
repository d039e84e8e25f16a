"""uvicorn, with connections that are bounded and a stop that resets nobody."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lepta.serving.config import ServeConfig
from lepta.serving.http import Application
from lepta.serving.protocol import dump_json

MAX_HEAD = 64 * 1024
"""Bytes that the head of a request (method, path, headers) may have."""
_TICK = 0.02
_SETTLE = 0.06
_PATIENCE = 0.25
_SO_ATTACH_FILTER = 26


class Connection(HttpToolsProtocol):
    """One client's connection: limited in number, in the size of heads, and in idle time."""

    def __init__(self, limit: int, **options: Any) -> None:
        super().__init__(**options)
        self._limit = limit
        self._head = 0
        self._in_body = False
        self._deadline = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > self._limit:
            self._refuse(b"503 Service Unavailable", "There are too many connections.")

    def data_received(self, data: bytes) -> None:
        is_body = self._in_body
        super().data_received(data)
        if not self.waiting or self.transport.is_closing():
            return
        if not (is_body or self._in_body):
            self._head += len(data)
        if self._head > MAX_HEAD:
            self._refuse(b"431 Request Header Fields Too Large", "The headers are too long.")
        else:
            self._wait_for_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._deadline = 0.0

    def on_headers_complete(self) -> None:
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"400 Bad Request", msg)

    @property
    def waiting(self) -> bool:
        """Whether no request is being answered here."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def _wait_for_head(self) -> None:
        """Close the connection when the next head is not complete in time, however it drips."""
        now = self.loop.time()
        if self._deadline <= now:
            self._deadline = now + self.timeout_keep_alive
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self.timeout_keep_alive_task = self.loop.call_at(
            self._deadline, self.timeout_keep_alive_handler
        )

    def _refuse(self, status: bytes, text: str) -> None:
        body = dump_json({"error": text})
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"retry-after: 1\r\nconnection: close\r\n\r\n%b" % (status, len(body), body)
        )
        self.transport.close()


class Server(uvicorn.Server):
    """Stops in an order that drops no request.

    1. Every answer says ``Connection: close`` and readiness turns false, while new connections
       are still taken (``drain`` seconds, less when nobody is connected).
    2. New handshakes are held off, what has connected is accepted, and the listener is closed.
    3. Connections end with their next answer; idle ones get as long again to send a request,
       running requests get ``grace`` seconds.
    """

    def __init__(
        self, application: Application, config: ServeConfig, ready: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=partial(Connection, config.connections),  # type: ignore[arg-type]
                loop="uvloop",
                interface="asgi3",
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=config.keep_alive,  # type: ignore[arg-type]
                timeout_graceful_shutdown=max(1, round(config.grace)),
            )
        )
        self._application, self._options, self._ready = application, config, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets=sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as described above."""
        self._application.draining = True
        connections: set[Any] = self.server_state.connections
        await self._until(lambda: not connections, self._options.drain)
        await _close_listeners(sockets or [], self.servers)
        await self._until(lambda: not connections, max(_PATIENCE, self._options.drain))
        await self._until(lambda: all(c.waiting for c in connections), self._options.grace)
        await super().shutdown(sockets=sockets)

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not done() and loop.time() < deadline and not self.force_exit:
            await asyncio.sleep(_TICK)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT, and return normally after it (uvicorn raises them anew)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def _close_listeners(sockets: list[socket.socket], servers: list[Any]) -> None:
    """Close listening sockets so that no client that has connected is reset.

    Closing a listener resets the connections that wait in its queue. So SYN packets are held off
    first (the client's kernel repeats them, and then meets a closed port: a clean refusal), and
    the queue is emptied by accepting.
    """
    for listener in sockets:
        _hold_off_handshakes(listener)
    loop = asyncio.get_running_loop()
    quiet_since = loop.time()
    deadline = quiet_since + 1.0
    while loop.time() - quiet_since < _SETTLE and loop.time() < deadline:
        await asyncio.sleep(_TICK / 4)
        if select.select(sockets, [], [], 0)[0]:
            quiet_since = loop.time()
    for server in servers:
        server.close()


def _hold_off_handshakes(listener: socket.socket) -> None:
    """Drop TCP segments with SYN and no ACK, by a classic packet filter (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    program = b"".join(
        struct.pack("HBBI", *step)
        for step in (
            (0x30, 0, 0, 13),  # load the byte of TCP flags
            (0x54, 0, 0, 0x12),  # keep SYN and ACK
            (0x15, 0, 1, 0x02),  # SYN alone?
            (0x06, 0, 0, 0),  # drop
            (0x06, 0, 0, 0xFFFFFFFF),  # pass
        )
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("HL", len(program) // 8, ctypes.addressof(buffer))
    with contextlib.suppress(OSError):  # not every kernel has it; the window is then microseconds
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)
