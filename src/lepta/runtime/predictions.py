"""What a prediction gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.tasks import Task


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scores of a model for some rows, and the answers they mean.

    Attributes:
        scores: float32 array (rows, width): class probabilities, or one value.
        task: what was predicted.
    """

    scores: NDArray[np.float32]
    task: Task

    @property
    def prediction(self) -> NDArray[Any]:
        """Answers, one a row: class labels or numbers."""
        return self.task.decide(self.scores)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Columns of the prediction table: ``prediction``, then ``probability[CLASS]``."""
        return self.task.columns(self.scores)

    def rows(self) -> list[dict[str, Any]]:
        """Return the prediction table row by row, as plain Python values."""
        columns = {name: values.tolist() for name, values in self.columns().items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def __len__(self) -> int:
        return len(self.scores)
