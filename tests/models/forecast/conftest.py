"""Windows of a table, small enough to learn from in a second."""

from collections.abc import Callable

import numpy as np
import pytest

import lepta


def windows(hours: int = 400, *, gaps: bool = False, broken: int | None = None) -> lepta.Dataset:
    """Return windows of a load, another that follows it, and a plan that both obey.

    What is forecast is otherwise from the row ``broken`` on.
    """
    rng = np.random.default_rng(0)
    hour = np.arange(hours)
    plan = (rng.random(hours) < 0.3).astype(float)
    load = 50 + 10 * np.sin(2 * np.pi * hour / 24) + 6 * plan + rng.normal(size=hours)
    other = np.roll(load, 3) / 2
    if broken is not None:
        load[broken:], other[broken:] = 500.0, -7.0
    if gaps:
        other[:40] = np.nan
        load[60:70] = np.nan
    columns = {
        "when": np.datetime64("2026-01-01T00", "s") + hour * np.timedelta64(3600, "s"),
        "load": load,
        "other": other,
        "plan": plan,
    }
    window = {"length": 30, "horizon": 5, "also": ["other"], "known": ["plan"]}
    return lepta.Dataset.read(columns, target="load", time_field="when", window=window)


@pytest.fixture(scope="session")
def waves() -> lepta.Dataset:
    return windows().split(valid=0.2, test=0.2)


@pytest.fixture(scope="session")
def read() -> Callable[..., lepta.Dataset]:
    return windows
