"""An ONNX Runtime session with the settings that serve best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lepta.core.errors import BundleError, MissingExtraError


def open_session(model: bytes, *, threads: int = 1, providers: Sequence[str] | None = None) -> Any:
    """Return an ``onnxruntime.InferenceSession`` over an audited model.

    Args:
        model: bytes of ``model.onnx``.
        threads: threads within one call; one is the most efficient where calls run side by side.
        providers: execution providers in order of preference; the CPU one by default.

    Raises:
        BundleError: ONNX Runtime refuses the graph.
        MissingExtraError: a provider is not in this build of ONNX Runtime.
    """
    import onnxruntime as ort

    wanted = list(providers or ["CPUExecutionProvider"])
    absent = [name for name in wanted if name not in ort.get_available_providers()]
    if absent:
        raise MissingExtraError(
            f"ONNX Runtime has no {', '.join(absent)} here.",
            fix=f"Choose among: {', '.join(ort.get_available_providers())}.",
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(model, options, providers=wanted)
    except Exception as error:
        raise BundleError(
            f"ONNX Runtime cannot load the graph: {error}",
            fix="Make the bundle again, or upgrade onnxruntime.",
        ) from error
    session._model_bytes = b""  # kept only to begin anew after another provider fails
    return session


def trim() -> None:
    """Give freed memory back to the system, where the C library can."""
    import ctypes
    import sys

    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
