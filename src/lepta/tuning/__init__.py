"""From a dataset to the best bundle: choosing learners by what they do on unseen rows."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

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


__getattr__ = lazy_names(__name__, _HOMES)
