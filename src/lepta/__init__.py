"""Lepta: from labelled data to a small, fast, watched model service.

Whoever knows :class:`Dataset`, :class:`Bundle` and :class:`Task` knows Lepta. Names are loaded
when first used, so that ``import lepta`` costs almost nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "lepta.bundle",
    "Dataset": "lepta.data",
    "LeptaError": "lepta.core.errors",
    "Store": "lepta.store",
    "Task": "lepta.tasks",
    "check": "lepta.evaluation",
    "compress": "lepta.compression",
    "connect": "lepta.serving",
    "cross_validate": "lepta.tuning",
    "evaluate": "lepta.evaluation",
    "export": "lepta.edge",
    "fit": "lepta.tuning",
    "forecast": "lepta.data",
    "import_onnx": "lepta.tuning",
    "predict": "lepta.runtime",
    "recommend": "lepta.data",
    "serve": "lepta.serving",
    "tune": "lepta.tuning",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605

if TYPE_CHECKING:
    pass


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lepta' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
