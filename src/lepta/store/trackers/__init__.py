"""Trackers: where the figures of a run go while it trains, each named by a word."""

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names

if TYPE_CHECKING:
    from lepta.store.trackers.base import TRACKERS, Figure, Plan, Tracker
    from lepta.store.trackers.tracked import Tracked, tracking

_HOMES = {
    "TRACKERS": "lepta.store.trackers.base",
    "Figure": "lepta.store.trackers.base",
    "Plan": "lepta.store.trackers.base",
    "Tracked": "lepta.store.trackers.tracked",
    "Tracker": "lepta.store.trackers.base",
    "tracking": "lepta.store.trackers.tracked",
}

__all__ = ["TRACKERS", "Figure", "Plan", "Tracked", "Tracker", "tracking"]


__getattr__ = lazy_names(__name__, _HOMES)
