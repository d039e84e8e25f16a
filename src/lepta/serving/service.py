"""Load models and serve them until told to stop."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lepta.core.errors import ServeError, missing_extra
from lepta.core.events import Context
from lepta.runtime import Predictor
from lepta.serving.config import ServeConfig
from lepta.serving.dataplane import DataPlane, Source, named

Models = Source | Mapping[str, Source] | Iterable[Source]
"""A bundle or the path of one, several of them, or a mapping of names to them."""


def serve(
    models: Models,
    *,
    config: ServeConfig | None = None,
    context: Context | None = None,
    on_ready: Callable[[str], None] | None = None,
    **options: Any,
) -> None:
    """Serve models over HTTP; returns after SIGTERM or SIGINT, when the last answer is sent.

    Args:
        models: a bundle, its path, several of them, or a mapping of names to them. Without a
            name given, a model is called what its manifest says.
        config: how to listen and what to refuse.
        context: where progress is reported.
        on_ready: called with the URL once requests are answered.
        **options: options of :class:`ServeConfig`, over those of ``config``: host, port, ...

    Raises:
        ServeError: the port is in use, or two models have one name.
        BundleError: a bundle is damaged or fails its self-test.
        ConfigError: an option is unknown or out of range.
    """
    server_class = _server_class()
    settings = settings_of(config, options)
    report = context or Context()
    listener = bind(settings.host, settings.port)
    try:
        plane = DataPlane(_load(models, report), settings.max_rows)
        url = url_of(listener)
        names = ", ".join(model.name for model in plane.models())

        def ready() -> None:
            report.say(f"Serving {names} at {url}")
            if on_ready is not None:
                on_ready(url)

        _run(server_class, plane, settings, listener, ready)
    finally:
        listener.close()
    report.say("The service has stopped; every request that came was answered.")


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; port 0 picks a free one.

    Raises:
        ServeError: the port is in use or the address is not one of this machine.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, number)
    except OSError as error:
        raise ServeError(f"The address {host!r} is not known: {error}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise _bind_error(error, host, port) from error
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the URL that reaches a bound socket from this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind_error(error: OSError, host: str, port: int) -> ServeError:
    if error.errno == errno.EADDRINUSE:
        return ServeError(
            f"Port {port} on {host} is in use by another program.",
            fix=f"Stop that program, or choose another port, such as {_next_port(port)}; "
            "port 0 picks a free one.",
        )
    if error.errno == errno.EACCES:
        return ServeError(
            f"Port {port} on {host} may not be opened by this user.",
            fix="Choose a port from 1024 on, such as 8080.",
        )
    return ServeError(f"Port {port} on {host} cannot be opened: {error.strerror or error}.")


def _next_port(port: int) -> int:
    return port + 1 if port < 65535 else 8080


def settings_of(config: ServeConfig | None, options: dict[str, Any]) -> ServeConfig:
    """Return ``config`` with ``options`` over it; options that are None say nothing.

    Raises:
        ConfigError: an option is unknown or out of range.
    """
    given = config.model_dump() if config is not None else {}
    return ServeConfig.parse(given | {k: v for k, v in options.items() if v is not None})


def _load(models: Models, context: Context) -> dict[str, Predictor]:
    bundles = named(models)
    return {
        name: Predictor(bundle, threads=1)
        for name, bundle in context.track(bundles.items(), "load models", len(bundles))
    }


def _server_class() -> Any:
    for module in ("uvicorn", "uvloop", "httptools", "orjson"):
        try:
            __import__(module)
        except ModuleNotFoundError as error:
            raise missing_extra(module, "serve", "Serving") from error
    from lepta.serving.server import Server

    return Server


def _run(
    server_class: Any,
    plane: DataPlane,
    config: ServeConfig,
    listener: socket.socket,
    ready: Callable[[], None],
) -> None:
    from lepta.serving.http import Application
    from lepta.serving.workers import Workers

    workers = Workers(config.threads or len(os.sched_getaffinity(0)), config.queue, config.timeout)
    try:
        server_class(Application(plane, config, workers), config, ready).run(sockets=[listener])
    finally:
        workers.close()
