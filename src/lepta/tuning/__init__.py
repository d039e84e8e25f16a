"""From a dataset to the best bundle: choosing learners by what they do on unseen rows."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepta.tuning.fitting import fit, split_like
    from lepta.tuning.options import FitOptions
    from lepta.tuning.validation import cross_validate

_HOMES = {
    "FitOptions": "lepta.tuning.options",
    "cross_validate": "lepta.tuning.validation",
    "fit": "lepta.tuning.fitting",
    "split_like": "lepta.tuning.fitting",
}

__all__ = ["FitOptions", "cross_validate", "fit", "split_like"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
