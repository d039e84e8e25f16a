"""Data: read, infer the schema, clean, validate, split, decode into a cache."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset
    from lepta.data.files import Files
    from lepta.data.issues import Issue
    from lepta.data.options import ReadOptions
    from lepta.data.profiles import profile
    from lepta.data.rereading import forecast, recommend
    from lepta.data.sources import SOURCES
    from lepta.data.splits import folds, split
    from lepta.data.validation import require_trainable, validate

_HOMES = {
    "Dataset": "lepta.data.dataset",
    "Files": "lepta.data.files",
    "Issue": "lepta.data.issues",
    "ReadOptions": "lepta.data.options",
    "SOURCES": "lepta.data.sources",
    "folds": "lepta.data.splits",
    "forecast": "lepta.data.rereading",
    "profile": "lepta.data.profiles",
    "recommend": "lepta.data.rereading",
    "require_trainable": "lepta.data.validation",
    "split": "lepta.data.splits",
    "validate": "lepta.data.validation",
}

__all__ = [
    "SOURCES",
    "Dataset",
    "Files",
    "Issue",
    "ReadOptions",
    "folds",
    "forecast",
    "profile",
    "recommend",
    "require_trainable",
    "split",
    "validate",
]


__getattr__ = lazy_names(__name__, _HOMES)
