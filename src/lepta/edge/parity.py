"""What another runtime computes is held to the examples of the bundle before it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.bundle import Bundle
from lepta.core.errors import ExportError
from lepta.runtime.predictor import Predictor, agrees, examples_of

Run = Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]
"""From the tensors of the graph to the scores."""


def hold(
    bundle: Bundle, run: Run, runtime: str, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> int:
    """Run the examples of a bundle elsewhere; return how many there are.

    Where only one row of fixed ``shapes`` fits, images of other sizes are cut and repeated to fit,
    and what is expected is computed here.

    Raises:
        ExportError: an example gives other scores there.
    """
    count = 0
    here = Predictor(bundle, self_test=False) if shapes else None
    for name, tensors, expected in examples_of(bundle):
        count += 1
        if here is not None and shapes is not None:
            given = {key: np.resize(tensors[key], shape) for key, shape in shapes.items()}
            wanted = here.run(given)
        else:
            given, wanted = tensors, expected
        scores = np.asarray(run(given), np.float32)
        if not agrees(bundle.task, scores, wanted):
            same = scores.shape == wanted.shape
            gap = f"by {np.abs(scores - wanted).max():.3g}" if same else "in shape"
            raise ExportError(
                f"{runtime} computes something else: the example {name} differs {gap}.",
                fix="Export to onnx or ort, which ONNX Runtime computes as it was trained.",
            )
    return count
