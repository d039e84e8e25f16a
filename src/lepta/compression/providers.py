"""What a compressed model will run on, and how fast it is there.

A provider is a function ``(model bytes, threads) -> Runner`` under a name in :data:`PROVIDERS`;
other packages add theirs by an entry point in the group ``lepta.providers``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import CompressError, missing_extra
from lepta.core.registry import Registry
from lepta.runtime.openvino import resize_smoothly
from lepta.runtime.session import open_session

Tensors = Mapping[str, NDArray[Any]]
Runner = Callable[[Tensors], NDArray[np.float32]]
"""Graph tensors to the scores (rows, ...)."""

PROVIDERS = Registry(
    "lepta.providers",
    "provider",
    {
        "onnxruntime": "lepta.compression.providers:onnxruntime",
        "openvino": "lepta.compression.providers:openvino",
    },
)
"""What a graph can be timed and judged on, by name."""

_ROUNDS = 7
_ROUND_SECONDS = 0.06
_LEAST, _MOST = 3, 400
_PERCENTILE = 10


def onnxruntime(model: bytes, threads: int = 1) -> Runner:
    """Return a runner on ONNX Runtime's processor provider, which a bundle is served with.

    Raises:
        BundleError: it refuses the graph.
    """
    session = open_session(model, threads=threads)
    output = session.get_outputs()[0].name

    def run(tensors: Tensors) -> NDArray[np.float32]:
        return np.asarray(session.run([output], dict(tensors))[0], np.float32)

    return run


def openvino(model: bytes, threads: int = 1) -> Runner:
    """Return a runner on OpenVINO's processor plug-in, in full precision but for what is int8.

    Raises:
        CompressError: it cannot read the graph.
        MissingExtraError: openvino is not installed.
    """
    try:
        import openvino as ov
    except ModuleNotFoundError as error:
        raise missing_extra("openvino", "compress", "The provider openvino") from error
    core = ov.Core()
    try:
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        graph = core.read_model(model, b"")
        resize_smoothly(graph)
        compiled = core.compile_model(graph, "CPU", settings)
    except Exception as error:
        raise CompressError(
            f"OpenVINO cannot run the graph: {str(error).strip().splitlines()[-1]}",
            fix="Compress for another provider: provider='onnxruntime'.",
        ) from error
    request = compiled.create_infer_request()

    def run(tensors: Tensors) -> NDArray[np.float32]:
        return np.array(request.infer(dict(tensors))[0], np.float32)

    return run


def race(runners: Sequence[Runner], tensors: Tensors) -> list[float]:
    """Return the milliseconds of one call of each runner: the best round's 10th percentile.

    They take turns, so that what else the machine does hits them alike.

    Args:
        runners: what to time.
        tensors: the rows of a call.
    """
    for runner in runners:
        runner(tensors)
    best = [np.inf] * len(runners)
    for _ in range(_ROUNDS):
        for place, runner in enumerate(runners):
            best[place] = min(best[place], _round(runner, tensors))
    return best


def _round(runner: Runner, tensors: Tensors) -> float:
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < _LEAST or (
        len(times) < _MOST and time.perf_counter() - began < _ROUND_SECONDS
    ):
        start = time.perf_counter()
        runner(tensors)
        times.append(time.perf_counter() - start)
    return float(np.percentile(times, _PERCENTILE)) * 1000.0
