"""Predictions over HTTP for programs on the device itself."""

from __future__ import annotations

import json
from typing import Any

from lepta.edge.agent.agent import Agent
from lepta.edge.agent.web import Answer, AskedError, Request, Service, as_json
from lepta.runtime.received import media_field, rows_of

_FILES = ("image/", "audio/", "application/dicom", "application/octet-stream")


class Endpoint:
    """Answers ``POST /predict``, ``GET /health`` and ``GET /status``.

    A body is JSON (``{"rows": [{"field": value}, ...]}``, a list of rows, or one row; files as
    base64), or the file of a model's only media field. The answer is ``{"predictions": [...],
    "version": digest}``.

    Args:
        agent: what predicts.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def serve(self) -> Service:
        """Answer from now on, in threads of this process.

        Raises:
            EdgeError: the port is in use.
        """
        return Service(self.answer, self._agent.config)

    def answer(self, request: Request) -> Answer:
        """Answer a request.

        Raises:
            LeptaError: it is refused.
        """
        asked = (request.method, request.path)
        if asked == ("POST", "/predict"):
            return self._predict(request)
        if asked == ("GET", "/health"):
            ready = bool(self._agent.version)
            return as_json({"ready": ready}, 200 if ready else 503)
        if asked == ("GET", "/status"):
            return as_json(self._agent.health().model_dump())
        raise AskedError(404, "Ask POST /predict, GET /health or GET /status.")

    def _predict(self, request: Request) -> Answer:
        if not self._agent.version:
            raise AskedError(503, "This device has no bundle yet.")
        rows = self._rows(request)
        most = self._agent.config.max_rows
        if len(rows) > most:
            raise AskedError(413, f"There are {len(rows)} rows; at most {most} are taken at once.")
        return as_json(self._agent.answer(rows))

    def _rows(self, request: Request) -> list[dict[str, Any]]:
        signature = self._agent.signature
        if signature and request.headers.get("content-type", "").startswith(_FILES):
            return [{media_field(signature).name: request.body}]
        try:
            return rows_of(json.loads(request.body))
        except (ValueError, RecursionError) as error:
            raise AskedError(400, f"The body is not JSON: {error}.") from error
