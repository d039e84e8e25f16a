"""The rows that a bundle is tested with when it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lepta.runtime.predictor import write_example

if TYPE_CHECKING:
    from lepta.data import Dataset
    from lepta.runtime import Predictor


def example_files(predictor: Predictor, test: Dataset, count: int) -> dict[str, bytes]:
    """Return the first rows with their scores, as files: the self-test at load."""
    rows = test.take(np.arange(min(count, len(test))))
    members = {}
    for number in range(len(rows)):
        columns = rows.take(np.array([number])).inputs()
        for _, tensors in predictor.batches(columns, 1):
            members[f"examples/{number:03d}.npz"] = write_example(tensors, predictor.run(tensors))
    return members
