"""A bench of rows by which candidates are judged, as they answer on the provider meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.compression.candidate import MODEL, Candidate
from lepta.compression.guard import Guard, Verdict
from lepta.compression.options import CompressOptions
from lepta.compression.providers import PROVIDERS, Runner, Tensors
from lepta.core.events import Context
from lepta.core.schema import Role
from lepta.evaluation.calibration import apply_temperature, fit_temperature
from lepta.evaluation.evaluating import column_of, groups_of, inputs_of
from lepta.runtime import Predictor
from lepta.runtime.predictions import gather
from lepta.runtime.predictor import TOLERANCE
from lepta.runtime.rows import to_columns
from lepta.tasks import Binary
from lepta.tasks.classification import Classification

if TYPE_CHECKING:
    from lepta.bundle import Bundle
    from lepta.data import Dataset

_HELD = 1 << 30
"""Bytes of graph tensors that are kept; more are read anew for each candidate."""


class Judge:
    """Rows with truth, and what the model given answers.

    Args:
        parent: the model given.
        rows: with truth; neither it nor any step has learned from them.
        metric: that must not drop.
        options: of the compression.
        context: seed and threads.

    Raises:
        CompressError: the metric is not defined on the rows.
    """

    def __init__(
        self, parent: Bundle, rows: Dataset, metric: str, options: CompressOptions, context: Context
    ) -> None:
        self._rows, self._parent, self._threads = rows, parent, context.threads or 1
        self._predictor = Predictor(parent, threads=self._threads)
        self.task = parent.task
        self._kept: list[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]] | None = None
        self.y = rows.targets(self.task)
        self._weights = column_of(rows, Role.WEIGHT)
        self.open = PROVIDERS.get(options.provider)
        self.runner: Runner = self.open(parent.read(MODEL), 1)
        self.scores = self.answers(self.runner)
        self.guard = Guard(
            self.task,
            metric,
            self.y,
            self.scores,
            groups=groups_of(rows),
            weights=self._weights,
            max_drop=options.max_drop,
            level=options.level,
            seed=context.seed,
        )

    def answers(self, runner: Runner) -> NDArray[Any]:
        """Return the scores of all rows."""
        pieces = ((index, runner(tensors)) for index, tensors in self.batches())
        return gather(pieces, len(self._rows), self.task.output())

    def batches(self) -> Iterator[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]]:
        """Yield (positions of rows, graph tensors)."""
        if self._kept is not None:
            yield from self._kept
            return
        columns, count = to_columns(
            inputs_of(self._rows, self._predictor.signature), self._predictor.signature
        )
        held, size = [], 0
        for index, tensors in self._predictor.batches(columns, count):
            size += sum(tensor.nbytes for tensor in tensors.values())
            if size < _HELD:
                held.append((index, tensors))
            yield index, tensors
        if size < _HELD:
            self._kept = held

    def one(self) -> Tensors:
        """Return one row as graph tensors, to time a call by."""
        _, tensors = next(iter(self.batches()))
        return {name: tensor[:1] for name, tensor in tensors.items()}

    def same(self, scores: NDArray[Any]) -> bool:
        """Return whether scores are those of the model given, as near as machines agree."""
        if [row.shape for row in scores] != [row.shape for row in self.scores]:
            return False
        largest = max((float(np.abs(row).max(initial=0.0)) for row in self.scores), default=0.0)
        scale = 1.0 if self.task.bounded else max(1.0, largest)
        return self.task.gap(self.scores, scores) <= TOLERANCE * scale

    def verdict(
        self, scores: NDArray[Any], *, temperature: float = 1.0, rows: int | None = None
    ) -> Verdict:
        """Judge scores, divided by a temperature; foretell it for so many rows."""
        if temperature != 1.0:
            scores = apply_temperature(scores, temperature).astype(np.float32)
        return self.guard.verdict(scores, rows=rows)

    def temperature(self, scores: NDArray[Any]) -> float:
        """Return by which temperature probabilities are to be calibrated anew; 1 for not.

        Not those of two classes that are told apart elsewhere than in the middle: that threshold
        is a choice made on the old scale.
        """
        if not isinstance(self.task, Classification):
            return 1.0
        if isinstance(self.task, Binary) and self.task.threshold != 0.5:
            return 1.0
        return fit_temperature(scores, self.y, weights=self._weights)

    def runner_of(self, candidate: Candidate) -> Runner:
        """Return the candidate on the provider meant."""
        runner: Runner = self.open(candidate.bundle.read(MODEL), 1)
        return runner
