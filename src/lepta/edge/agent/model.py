"""The model that predicts on a device, and the one before it while the new one is on trial."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle import Bundle
from lepta.core.errors import LeptaError
from lepta.edge.agent.config import UpdateConfig, WindowConfig
from lepta.edge.agent.window import Columns, Window
from lepta.runtime import Predictor
from lepta.runtime.predictions import gather
from lepta.runtime.received import bind_rows
from lepta.runtime.rows import to_columns

Array = NDArray[Any]
_log = logging.getLogger("lepta.edge")


class Model:
    """A loaded version and the window of what it sees. Safe to call from many threads.

    Args:
        bundle: the version.
        window: when a window ends.
        threads: threads within one call.

    Raises:
        BundleError: it does not load, or fails its self-test.
    """

    def __init__(self, bundle: Bundle, window: WindowConfig, threads: int) -> None:
        self.predictor = Predictor(bundle, threads=threads)
        self.window = Window(bundle, window)

    @property
    def digest(self) -> str:
        """Which version it is."""
        return self.predictor.bundle.digest

    def scores(self, rows: Any, *, foreign: bool) -> Array:
        """Return the scores of rows; see :meth:`Predictor.predict`.

        Args:
            rows: what to predict.
            foreign: whether a stranger gave them: rows of JSON values, so that no path is opened.

        Raises:
            InputError: a field is missing or does not fit.
            DecodeError: a file cannot be decoded.
        """
        begin = time.perf_counter()
        signature = self.predictor.signature
        columns, count = to_columns(bind_rows(signature, rows) if foreign else rows, signature)
        seen, pieces = [], []
        for index, tensors in self.predictor.batches(columns, count):
            with np.errstate(over="ignore", invalid="ignore"):
                pieces.append((index, self.predictor.run(tensors, index)))
            seen.append(self.window.columns(tensors))
        scores = gather(pieces, count, self.predictor.task.output())
        seconds = time.perf_counter() - begin
        if count:
            self._tell(seen, scores, seconds)
        return scores

    def _tell(self, seen: list[Columns], scores: Array, seconds: float) -> None:
        """Add to the window; what goes wrong there must not keep the device from predicting."""
        try:
            self.window.add(seen, scores, seconds)
        except Exception:
            _log.exception("A prediction could not be added to the profiles")
            self.window.failed("profile")


@dataclass
class Trial:
    """How a new version does in its first rows, beside the one before.

    Attributes:
        before: the version that it took the place of.
        config: when it is trusted and when not.
        begun: when it began, by ``time.monotonic``.
        rows: rows that it has answered or failed.
        failures: those that it failed and the version before did not.
    """

    before: Model
    config: UpdateConfig
    begun: float = field(default_factory=time.monotonic)
    rows: int = 0
    failures: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def failed(self) -> bool:
        """Whether it cannot be trusted any more, whatever the rows to come."""
        return self.failures > self.config.max_failures * self.config.trial_rows

    @property
    def passed(self) -> bool:
        """Whether it has shown enough."""
        enough = self.rows >= self.config.trial_rows
        return not self.failed and (
            enough or time.monotonic() - self.begun >= self.config.trial_time
        )

    def count(self, rows: int, failures: int = 0) -> None:
        """Add rows, and how many of them failed that did not before."""
        with self._lock:
            self.rows += rows
            self.failures += failures

    def rescue(self, rows: Any, *, foreign: bool) -> Array | None:
        """Return the scores of the version before for rows that the new one failed.

        None where it fails them too: then the rows are to blame.
        """
        try:
            scores = self.before.scores(rows, foreign=foreign)
        except LeptaError:
            return None
        self.count(len(scores), len(scores))
        return scores
