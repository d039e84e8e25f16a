"""Simulated studies, for demonstrations and tests. They say on their face what they are."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.data.simulate.ct import simulate_ct

_HOMES = {"simulate_ct": "lepta.data.simulate.ct"}

__all__ = ["simulate_ct"]


__getattr__ = lazy_names(__name__, _HOMES)
