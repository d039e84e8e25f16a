"""What may be written for a space of options."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepta.core.errors import ConfigError
from lepta.core.space import Choice, Range, Space
from lepta.tuning.spaces import defaults_in, read_space, spread_of, within, written


@dataclass(frozen=True)
class Inner:
    rate: Annotated[float, Range(0.001, 0.1, log=True)] = 0.01
    epochs: int = 30


@dataclass(frozen=True)
class Learner:
    loop: Inner = field(default_factory=Inner)
    width: Annotated[int, Range(8, 64)] = 32
    act: str = "relu"
    more: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0.001..0.1 log", Range(0.001, 0.1, log=True)),
        ("1e-4 .. 1e-1 log", Range(1e-4, 1e-1, log=True)),
        ("32..512", Range(32, 512)),
        ("-1..1.5", Range(-1, 1.5)),
        ("0..0.5 step 0.1", Range(0, 0.5, step=0.1)),
        ("relu|gelu | tanh", Choice("relu", "gelu", "tanh")),
        ("64|128", Choice(64, 128)),
        ("0.5|1.0", Choice(0.5, 1.0)),
        ("true|none|auto", Choice(True, None, "auto")),
        ([16, 32], Choice(16, 32)),
        ({"low": 1, "high": 9, "log": True}, Range(1, 9, log=True)),
        (5, Choice(5)),
    ],
)
def test_what_is_written_is_read(text: Any, wanted: Range | Choice) -> None:
    assert spread_of(text) == wanted
    if isinstance(wanted, Range):
        assert spread_of(text).whole == wanted.whole  # type: ignore[union-attr]


numbers = st.floats(1e-6, 1e6) | st.integers(1, 10**6)


@given(numbers, numbers, st.booleans())
def test_ranges_are_read_as_they_are_shown(one: float, other: float, log: bool) -> None:
    spread = Range(min(one, other), max(one, other), log=log)
    assert spread_of(written(spread)) == spread


@given(st.lists(st.integers() | st.sampled_from(["a", "relu", None, True, 0.25]), min_size=1))
def test_choices_are_read_as_they_are_shown(values: list[Any]) -> None:
    assert spread_of(written(Choice(*values))) == Choice(*values)


def test_a_space_names_options_of_the_learner(tmp_path: Path) -> None:
    own: Space = {"loop.rate": Range(0.001, 0.1, log=True), "width": Range(8, 64)}
    assert read_space(None, Learner) == own
    given_one = {"loop.rate": "default", "act": "relu|gelu", "more.depth": "1..3"}
    assert read_space(given_one, Learner) == {
        "loop.rate": own["loop.rate"],
        "act": Choice("relu", "gelu"),
        "more.depth": Range(1, 3),
    }
    file = tmp_path / "space.yaml"
    file.write_text("loop.epochs: 10..30\nact: [relu, gelu]\nwidth: {low: 8, high: 16}\n")
    assert read_space(file, Learner) == {
        "loop.epochs": Range(10, 30),
        "act": Choice("relu", "gelu"),
        "width": Range(8, 16),
    }


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"loop.rat": "1..2"}, "Did you mean 'loop.rate'"),
        ({"loop.epochs": "default"}, "has no range of its own"),
        ({"width": "8...64"}, "'width': '8...64' is no range"),
        ({"width": "8..64 lag"}, "is no range"),
        ({"width": {"lo": 8, "high": 9}}, "Did you mean 'low'"),
        ({"width": {"low": "1e-3", "high": 9}}, "is no range of numbers"),
        ({"width": "9..8"}, "from a lower to a higher"),
        ({"width": "0..8 log"}, "above 0"),
        ({}, "The space is empty"),
    ],
)
def test_errors_teach(space: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as found:
        read_space(space, Learner)
    assert found.value.fix or "range" in found.value.what


def test_where_a_file_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("wide: 1..2\n")
    with pytest.raises(ConfigError) as found:
        read_space(file, Learner)
    assert found.value.where is not None
    assert found.value.where.file == str(file)


def test_the_first_trial_has_the_values_of_the_learner() -> None:
    assert defaults_in(read_space(None, Learner), Learner) == {"loop.rate": 0.01, "width": 32}
    assert defaults_in({"width": Range(40, 64)}, Learner) is None
    assert defaults_in({"act": Choice("gelu", "tanh")}, Learner) is None
    assert defaults_in({"more.depth": Range(1, 3)}, Learner) is None
    assert within(Range(0, 1, step=0.25), 0.75)
    assert not within(Range(0, 1, step=0.25), 0.6)
    assert not within(Range(1, 9), 2.5)
    assert not within(Choice(True), 1)
