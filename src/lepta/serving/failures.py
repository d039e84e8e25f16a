"""What a request can fail with. Adapters map each class to a status of their transport."""

from __future__ import annotations

from typing import ClassVar

from lepta.core.errors import DataError, InputError, LeptaError, ServeError


class RequestError(ServeError):
    """The request is not understood (HTTP 400)."""

    code = "request"
    status: ClassVar[int] = 400


class UnknownModelError(RequestError):
    """There is no such model, version or page (HTTP 404)."""

    code = "not_found"
    status = 404


class MethodError(RequestError):
    """The page exists, but not for this method (HTTP 405)."""

    code = "method"
    status = 405


class SlowClientError(RequestError):
    """The client took too long to send its request (HTTP 408)."""

    code = "slow_client"
    status = 408


class TooLargeError(RequestError):
    """The body or the number of rows is over the limit (HTTP 413)."""

    code = "too_large"
    status = 413


class MediaTypeError(RequestError):
    """The content type or encoding is not supported (HTTP 415)."""

    code = "media_type"
    status = 415


class BusyError(RequestError):
    """The queue is full (HTTP 429)."""

    code = "busy"
    status = 429


class OverloadedError(RequestError):
    """The service has no room, or no answer in time (HTTP 503)."""

    code = "overloaded"
    status = 503


def status_of(error: LeptaError) -> int:
    """Return the HTTP status of an error: the client's fault is 4xx, anything unforeseen 500."""
    if isinstance(error, RequestError):
        return error.status
    return 400 if isinstance(error, InputError | DataError) else 500


def explain(error: LeptaError) -> str:
    """Return an error as one line of text for a client."""
    where = f" ({error.where})" if error.where is not None and str(error.where) else ""
    return f"{error.what}{where}{' ' + error.fix if error.fix else ''}"
