"""A web server of static files on the loopback, as anybody has one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, seen: list[str], **options: Any) -> None:
        self.seen = seen
        super().__init__(*args, **options)

    def log_request(self, *_: object) -> None:
        """Note what was asked, and say nothing."""
        self.seen.append(self.path)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path, seen: list[str] | None = None) -> Iterator[str]:
    """Serve a folder; gives its address. ``seen`` gets the paths that are asked for."""
    paths: list[str] = [] if seen is None else seen
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Handler, directory=str(folder), seen=paths)
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
