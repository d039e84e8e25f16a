"""Run a bundle: decoders and ONNX Runtime, no training library."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.runtime.predictions import Predictions
    from lepta.runtime.predictor import Predictor, predict

_HOMES = {
    "Predictions": "lepta.runtime.predictions",
    "Predictor": "lepta.runtime.predictor",
    "predict": "lepta.runtime.predictor",
}

__all__ = ["Predictions", "Predictor", "predict"]


__getattr__ = lazy_names(__name__, _HOMES)
