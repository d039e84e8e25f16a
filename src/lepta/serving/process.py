"""A service in a process of its own, for demonstrations, notebooks and tests."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lepta.bundle import Bundle
from lepta.core.errors import ServeError, Where
from lepta.core.events import Context
from lepta.serving.config import ServeConfig
from lepta.serving.dataplane import named
from lepta.serving.service import Models, settings_of

_START_LIMIT = 120.0


class Running:
    """A service that runs in a child process; it ends with the process that started it.

    Use it as a context manager, or call :meth:`stop`.

    Attributes:
        url: where it answers.
        pid: its process id.
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str, folder: Any) -> None:
        self._process, self._folder = process, folder
        self.url, self.pid = url, process.pid

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self, timeout: float = 60.0) -> int:
        """Stop it as SIGTERM does, wait, and return its exit status (0 when all went well)."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        _close_lifeline(self._process)
        self._folder.cleanup()
        return status


def start(
    models: Models,
    *,
    config: ServeConfig | None = None,
    context: Context | None = None,
    **options: Any,
) -> Running:
    """Start :func:`serve` in a child process and return once it answers.

    Args:
        models: as for :func:`serve`.
        config: as for :func:`serve`; without a port given, a free one is taken.
        context: where progress is reported.
        **options: options of :class:`ServeConfig`.

    Raises:
        ServeError: the service does not start; its reason is given.
        BundleError: a bundle is damaged.
    """
    if config is None:
        options = {"port": 0} | options
    settings = settings_of(config, options)
    bundles = named(models)
    folder = tempfile.TemporaryDirectory(prefix="lepta-serving-")
    try:
        order = _write_order(Path(folder.name), bundles, settings)
        process, url = _launch(order)
    except BaseException:
        folder.cleanup()
        raise
    (context or Context()).say(f"Serving {', '.join(bundles)} at {url}")
    return Running(process, url, folder)


def _write_order(folder: Path, bundles: Mapping[str, Bundle], settings: ServeConfig) -> Path:
    paths = {
        name: str(bundle.save(folder / f"{number}.lepta"))
        for number, (name, bundle) in enumerate(bundles.items())
    }
    order = folder / "order.json"
    order.write_text(json.dumps({"models": paths, "config": settings.model_dump()}))
    return order


def _launch(order: Path) -> tuple[subprocess.Popen[bytes], str]:
    report, inherited = os.pipe()
    process = _spawn(order, inherited)
    try:
        return process, _await_url(report)
    except BaseException:
        process.kill()
        process.wait()
        _close_lifeline(process)
        raise
    finally:
        os.close(report)


def _close_lifeline(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _spawn(order: Path, pipe: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lepta.serving.child", str(order), str(pipe)]
    try:
        return subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[pipe]
        )
    finally:
        os.close(pipe)


def _await_url(report: int) -> str:
    deadline = time.monotonic() + _START_LIMIT
    text = b""
    while not text.endswith(b"\n"):
        left = deadline - time.monotonic()
        chunk = os.read(report, 65536) if select.select([report], [], [], max(0, left))[0] else b""
        if not chunk:
            raise ServeError(
                "The service did not start.", fix="What it wrote to standard error says why."
            )
        text += chunk
    answer = json.loads(text)
    if "url" in answer:
        return str(answer["url"])
    where = Where(file=answer["file"]) if answer.get("file") else None
    raise ServeError(answer["error"], where=where, fix=answer.get("fix"))
