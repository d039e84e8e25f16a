"""Run a bundle: decoders and ONNX Runtime, no training library."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepta.runtime.predictions import Predictions
    from lepta.runtime.predictor import Predictor, predict

_HOMES = {
    "Predictions": "lepta.runtime.predictions",
    "Predictor": "lepta.runtime.predictor",
    "predict": "lepta.runtime.predictor",
}

__all__ = ["Predictions", "Predictor", "predict"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
