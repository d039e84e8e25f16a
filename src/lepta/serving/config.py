"""Options of the service."""

from __future__ import annotations

from pydantic import Field as Option

from lepta.core.config import Config, Seconds


class ServeConfig(Config):
    """How a service listens and what it refuses. Safe by default: loopback only, every limit set.

    Sizes are bytes.
    """

    host: str = Option(default="127.0.0.1", description="Address to listen on.")
    port: int = Option(default=8080, ge=0, le=65535, description="Port; 0 picks a free one.")
    threads: int = Option(
        default=0, ge=0, description="Predictions computed at once; 0 means one a CPU."
    )
    queue: int = Option(
        default=256, ge=0, description="Requests that may wait; further ones are answered 429."
    )
    connections: int = Option(
        default=1024, ge=1, description="Open connections; further ones are answered 503."
    )
    max_body: int = Option(
        default=64 * 1024**2, ge=1, description="Largest request body, unpacked; else 413."
    )
    max_memory: int = Option(
        default=1024**3, ge=1, description="Bytes of bodies being received at once; else 503."
    )
    max_rows: int = Option(default=10_000, ge=1, description="Rows in one request; else 413.")
    timeout: Seconds = Option(
        default=30.0, gt=0, description="Time a prediction may wait and take; else 503."
    )
    body_timeout: Seconds = Option(
        default=30.0, gt=0, description="Time a client may take to send a body; else 408."
    )
    keep_alive: Seconds = Option(
        default=15.0,
        gt=0,
        description="Time an idle connection, or the head of a request, may take.",
    )
    drain: Seconds = Option(
        default=0.5,
        ge=0,
        description="On stop: how long new requests are still taken while clients are sent away.",
    )
    grace: Seconds = Option(
        default=30.0, ge=0, description="On stop: how long running predictions may go on."
    )
