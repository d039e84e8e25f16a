"""Simulated studies, for demonstrations and tests. They say on their face what they are."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepta.data.simulate.ct import simulate_ct

_HOMES = {"simulate_ct": "lepta.data.simulate.ct"}

__all__ = ["simulate_ct"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
