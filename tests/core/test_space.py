from dataclasses import dataclass, field
from typing import Annotated

import pytest

from lepta.core.errors import ConfigError
from lepta.core.space import Choice, Range, default_of, space_of


@dataclass(frozen=True)
class Inner:
    rate: Annotated[float, Range(1e-4, 1e-1, log=True)] = 1e-3
    fixed: int = 3


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    width: Annotated[int, Range(16, 512, log=True)] = 64
    kind: Annotated[str, Choice("a", "b")] = "a"
    name: str = "x"


def test_ranges_are_gathered_by_dotted_names():
    assert space_of(Outer) == {
        "inner.rate": Range(1e-4, 1e-1, log=True),
        "width": Range(16, 512, log=True),
        "kind": Choice("a", "b"),
    }


def test_defaults_are_found_by_dotted_names():
    assert [default_of(Outer, name) for name in space_of(Outer)] == [1e-3, 64, "a"]


def test_integers_make_an_option_of_integers():
    assert Range(1, 8).whole
    assert not Range(1, 8.0).whole
    assert not Range(1, 8, step=0.5).whole


@pytest.mark.parametrize(
    "wrong",
    [
        {"low": 2, "high": 1},
        {"low": 0, "high": 1, "log": True},
        {"low": 1, "high": float("inf")},
        {"low": 1, "high": 2, "log": True, "step": 1},
    ],
)
def test_an_impossible_range_is_refused(wrong):
    with pytest.raises(ConfigError):
        Range(**wrong)


def test_a_choice_needs_a_value():
    with pytest.raises(ConfigError):
        Choice()
