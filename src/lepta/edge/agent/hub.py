"""A hub for tests and small fleets: takes records once each, gives out bundles in pieces."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from lepta.core.errors import EdgeError, Where
from lepta.edge.agent.config import HubConfig
from lepta.edge.agent.ledger import Ledger
from lepta.edge.agent.link import read_key
from lepta.edge.agent.messages import FLEET, OBJECTS, PUBLISHED, RECORDS, Delivery, check_device
from lepta.edge.agent.publishing import object_path, releases
from lepta.edge.agent.web import Answer, AskedError, Request, Service, as_json

KEY, RECORDS_FILE = "key", "records.sqlite"
_OBJECT = re.compile(rf"{OBJECTS}/([0-9a-f]{{64}})")


class Hub:
    """A hub over a folder. Use as a context manager, or :meth:`close` it.

    Args:
        folder: made where it is missing. The file ``key`` in it is the API key, made at first;
            ``records.sqlite`` holds devices and records.
        config: where to listen.

    Raises:
        EdgeError: the folder or the port cannot be used.
    """

    def __init__(self, folder: Path | str, config: HubConfig | None = None) -> None:
        self.folder, self._config = Path(folder), config or HubConfig()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._key = _key(self.folder / KEY)
        except OSError as error:
            raise EdgeError(
                f"The folder of the hub cannot be used: {error.strerror or error}.",
                where=Where(file=str(folder)),
            ) from error
        self._ledger = Ledger(self.folder / RECORDS_FILE)
        self._service: Service | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def serve(self) -> str:
        """Take requests from now on, in threads of this process; return the URL.

        Raises:
            EdgeError: the port is in use.
        """
        if self._service is None:
            self._service = Service(self.answer, self._config)
        return self._service.url

    def close(self) -> None:
        """Take no more requests and close the records."""
        if self._service is not None:
            self._service.close()
            self._service = None
        self._ledger.close()

    def devices(self) -> list[dict[str, Any]]:
        """Return how each device was when last heard of, and which bundle it should have.

        See :meth:`Ledger.devices`; ``published`` is the digest that the device should have.
        """
        published = releases(self.folder)
        return [
            row | {"published": published.of(row["device"]).digest}
            for row in self._ledger.devices()
        ]

    def records(self, device: str = "") -> Iterator[dict[str, Any]]:
        """Yield the records of a device, or of all: device, spool, seq, received, record."""
        return self._ledger.records(device)

    def answer(self, request: Request) -> Answer:
        """Answer a request.

        Raises:
            AskedError: it is refused.
        """
        if request.path == "/health":
            return as_json({"ready": True})
        self._admit(request)
        if (request.method, request.path) == ("POST", RECORDS):
            return self._take(request)
        if (request.method, request.path) == ("GET", PUBLISHED):
            device = check_device(request.query.get("device", ""))
            return as_json(releases(self.folder).of(device).model_dump())
        if (request.method, request.path) == ("GET", FLEET):
            return as_json({"devices": self.devices()})
        found = _OBJECT.fullmatch(request.path)
        if request.method == "GET" and found:
            return self._piece(found[1], request)
        raise AskedError(404, "There is nothing at this address.")

    def _admit(self, request: Request) -> None:
        said = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(said.encode(), self._key.encode()):
            raise AskedError(401, "The API key is wrong or missing.")

    def _take(self, request: Request) -> Answer:
        try:
            delivery = Delivery.model_validate_json(request.body)
        except ValidationError as error:
            raise AskedError(
                400, f"This is no delivery: {error.errors()[0]['loc']} {error.errors()[0]['msg']}."
            ) from error
        return as_json(self._ledger.take(delivery).model_dump())

    def _piece(self, digest: str, request: Request) -> Answer:
        path = object_path(self.folder, digest)
        if not path.is_file():
            raise AskedError(404, "The hub does not have this content.")
        size, headers = path.stat().st_size, {"Accept-Ranges": "bytes"}
        found = re.fullmatch(r"bytes=(\d{1,15})-", request.headers.get("range", ""))
        begin = int(found[1]) if found else 0
        if begin >= size and begin:
            raise AskedError(416, f"The content has {size} bytes.")
        if found:
            headers["Content-Range"] = f"bytes {begin}-{size - 1}/{size}"
        return Answer(
            status=206 if found else 200,
            kind="application/octet-stream",
            headers=headers,
            file=path,
            begin=begin,
            size=size - begin,
        )


def _key(path: Path) -> str:
    """Return the API key, made where there is none; only the owner may read the file."""
    if not path.exists() or not path.stat().st_size:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(f"{secrets.token_urlsafe(32)}\n")
            stream.flush()
            os.fsync(handle)
    return read_key(path)
