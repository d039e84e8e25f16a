"""The line to the hub, which breaks: one request a connection, and waits that grow."""

from __future__ import annotations

import http.client
import random
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ValidationError

from lepta.core.errors import ConfigError, EdgeError, Where
from lepta.edge.agent.config import LinkConfig
from lepta.edge.agent.messages import (
    FLEET,
    OBJECTS,
    PUBLISHED,
    RECORDS,
    Delivery,
    Published,
    Receipt,
)

M = TypeVar("M", bound=BaseModel)
_LARGEST = 64 * 1024**2
_PIECE = 1 << 16


class LinkError(EdgeError):
    """The hub was not reached, or did not do what it was asked.

    Attributes:
        status: HTTP status of its answer; 0 where there was none.
    """

    code = "link"

    def __init__(self, what: str, *, status: int = 0, fix: str | None = None) -> None:
        super().__init__(what, fix=fix)
        self.status = status


class Backoff:
    """Waits after failures: a random part of a time that doubles ("full jitter").

    So a fleet that lost its hub does not come back all at once (Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015).

    Args:
        first: longest wait after the first failure, seconds.
        longest: longest wait after any.
        chance: source of randomness.
    """

    def __init__(self, first: float, longest: float, chance: random.Random | None = None) -> None:
        self._first, self._longest = first, longest
        self._chance = chance or random.Random()  # noqa: S311
        self._failures = 0

    def failed(self) -> float:
        """Return the seconds to wait after one failure more."""
        most = min(self._longest, self._first * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return self._chance.uniform(0, most)

    def worked(self) -> None:
        """Begin again with the first wait."""
        self._failures = 0


class Link:
    """Requests to a hub. Safe to use from many threads.

    Args:
        config: where it is.

    Raises:
        ConfigError: the URL is none, or the key cannot be read.
    """

    def __init__(self, config: LinkConfig) -> None:
        self._config = config
        parts = urlsplit(config.url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise ConfigError(
                f"{config.url!r} is not the URL of a hub.",
                fix="Give --hub.url like https://hub.example.org or http://127.0.0.1:8091.",
            )
        self._host, self._port, self._base = parts.hostname, port, parts.path.rstrip("/")
        self._tls = self._context() if parts.scheme == "https" else None
        key = read_key(config.key_file) if config.key_file else ""
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    @property
    def exposed(self) -> bool:
        """Whether the key and the records cross a network that anybody may listen to."""
        return self._tls is None and not is_loopback(self._host)

    def deliver(self, delivery: Delivery) -> Receipt:
        """Send records.

        Raises:
            LinkError: no receipt came; the hub may have them all the same.
        """
        body = delivery.model_dump_json().encode()
        with self._ask("POST", RECORDS, body, {"Content-Type": "application/json"}) as answer:
            return _parse(Receipt, answer)

    def published(self, device: str) -> Published:
        """Return which bundle a device should have.

        Raises:
            LinkError: no answer came.
        """
        with self._ask("GET", f"{PUBLISHED}?device={quote(device)}") as answer:
            return _parse(Published, answer)

    def fleet(self) -> bytes:
        """Return what the hub knows of its devices, as JSON.

        Raises:
            LinkError: no answer came.
        """
        with self._ask("GET", FLEET) as answer:
            return _all(answer)

    def fetch(self, digest: str, begin: int) -> Iterator[tuple[int, bytes]]:
        """Yield (position, bytes) of an object from ``begin`` on; a cut line ends it early.

        A hub that does not know ranges begins at 0 again, whatever was asked.

        Raises:
            LinkError: no answer came, or the line broke.
        """
        headers = {"Range": f"bytes={begin}-"} if begin else {}
        with self._ask("GET", f"{OBJECTS}/{digest}", headers=headers) as answer:
            place = begin if answer.status == 206 else 0
            while piece := answer.read1(_PIECE):
                yield place, piece
                place += len(piece)

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(
                cafile=str(self._config.ca_file) if self._config.ca_file else None
            )
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"The certificates cannot be read: {error}",
                where=Where(file=str(self._config.ca_file)),
            ) from error

    @contextmanager
    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        wait = self._config.timeout
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=wait)
            if self._tls is None
            else http.client.HTTPSConnection(
                self._host, self._port, timeout=wait, context=self._tls
            )
        )
        try:
            connection.request(
                method, self._base + path, body, {**self._headers, **(headers or {})}
            )
            answer = connection.getresponse()
            if answer.status not in (200, 206):
                raise _refused(answer)
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise LinkError(
                f"The hub at {self._config.url} does not answer: {error or type(error).__name__}.",
                fix="Nothing is lost: it is tried again.",
            ) from error
        finally:
            connection.close()


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, spoken to within itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_key(path: Path) -> str:
    """Return the API key in a file.

    Raises:
        ConfigError: the file cannot be read, or holds no key.
    """
    try:
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The API key cannot be read: {getattr(error, 'strerror', None) or error}.",
            where=Where(file=str(path)),
            fix="Copy the file `key` from the folder of the hub.",
        ) from error
    if not key or not key.isprintable() or " " in key:
        raise ConfigError("The file holds no API key.", where=Where(file=str(path)))
    return key


def _all(answer: http.client.HTTPResponse) -> bytes:
    data = answer.read(_LARGEST + 1)
    if len(data) > _LARGEST or (answer.length or 0) > 0:
        raise LinkError("The answer of the hub is too large, or cut off.")
    return data


def _parse(kind: type[M], answer: http.client.HTTPResponse) -> M:
    try:
        return kind.model_validate_json(_all(answer))
    except ValidationError as error:
        raise LinkError(
            "What answers there does not speak like a hub of this version.",
            status=answer.status,
            fix="Check --hub.url; upgrade hub and device to one version of Lepta.",
        ) from error


def _refused(answer: http.client.HTTPResponse) -> LinkError:
    fixes = {
        401: "Give --hub.key-file, with the key that stands in the file `key` of the hub's folder.",
        404: "Check --hub.url; perhaps the bundle was published anew.",
        413: "Lower --hub.batch.",
    }
    return LinkError(
        f"The hub answered {answer.status} {answer.reason}.",
        status=answer.status,
        fix=fixes.get(answer.status, "Nothing is lost: it is tried again."),
    )
