"""What another runtime computes is held to the examples of the bundle before it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle import Bundle
from lepta.core.errors import ExportError
from lepta.runtime.predictor import agrees, examples_of

Run = Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]
"""From the tensors of the graph to the scores."""


def hold(bundle: Bundle, run: Run, runtime: str) -> int:
    """Run the examples of a bundle elsewhere; return how many there are.

    Raises:
        ExportError: an example gives other scores there.
    """
    count = 0
    for name, tensors, expected in examples_of(bundle):
        count += 1
        scores = np.asarray(run(tensors), np.float32)
        if not agrees(bundle.task, scores, expected):
            same = scores.shape == expected.shape
            gap = f"by {np.abs(scores - expected).max():.3g}" if same else "in shape"
            raise ExportError(
                f"{runtime} computes something else: the example {name} differs {gap}.",
                fix="Export to onnx or ort, which ONNX Runtime computes as it was trained.",
            )
    return count
