"""From a dataset to the best bundle: choosing learners by what they do on unseen rows."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.tuning.fitting import fit, split_like
    from lepta.tuning.importing import draft_schema, import_onnx
    from lepta.tuning.options import FitOptions
    from lepta.tuning.tuner import tune
    from lepta.tuning.validation import cross_validate

_HOMES = {
    "FitOptions": "lepta.tuning.options",
    "cross_validate": "lepta.tuning.validation",
    "draft_schema": "lepta.tuning.importing",
    "fit": "lepta.tuning.fitting",
    "import_onnx": "lepta.tuning.importing",
    "split_like": "lepta.tuning.fitting",
    "tune": "lepta.tuning.tuner",
}

__all__ = [
    "FitOptions",
    "cross_validate",
    "draft_schema",
    "fit",
    "import_onnx",
    "split_like",
    "tune",
]


__getattr__ = lazy_names(__name__, _HOMES)
