"""Command-line options generated from a configuration class."""

from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from lepta.app import cli
from lepta.core.config import Config, Seconds
from lepta.core.errors import ConfigError


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Config):
    depth: int = Field(default=3, ge=1, description="How deep.")
    on: bool = True


class Options(Config):
    data: Path = Field(description="What to read.", json_schema_extra={"positional": True})
    more: tuple[Path, ...] = Field(default=(), json_schema_extra={"positional": True})
    out: Path | None = Field(default=None, json_schema_extra={"short": "-o"})
    max_drop: float = Field(default=0.01, description="100% at most.")
    time: Seconds = 60.0
    shuffle: bool = True
    mode: Literal["fast", "slow"] = "fast"
    bits: Literal[8, 16] | None = None
    colour: Colour = Colour.RED
    metrics: tuple[str, ...] = ()
    sizes: list[int] = Field(default_factory=lambda: [1, 2])
    kinds: dict[str, str] = Field(default_factory=dict)
    inner: Inner = Inner()
    json_: bool = Field(default=False, alias="json")


MODULE = SimpleNamespace(Options=Options, __doc__="Do it.\n\nExamples:\n  lepta fit x 100%\n")


def read(*words: str) -> Options:
    options, _ = cli.read_options("fit", MODULE, list(words))
    assert isinstance(options, Options)
    return options


def test_defaults() -> None:
    assert read("a.csv") == Options(data=Path("a.csv"))


def test_every_form() -> None:
    options = read(
        "--max-drop", "0.5", "a.csv", "--time=2m", "--no-shuffle", "b", "--mode", "slow",
        "--bits", "16", "--colour", "blue", "--metrics", "auc, f1", "--metrics", "mcc", "c",
        "--sizes", "3,4", "--kinds", "a=number", "--kinds", "b=x=y", "--inner.depth", "5",
        "--no-inner.on", "-o", "x.csv", "--json",
    )  # fmt: skip
    assert options == Options(
        data=Path("a.csv"), more=(Path("b"), Path("c")), out=Path("x.csv"), max_drop=0.5,
        time=120, shuffle=False, mode="slow", bits=16, colour=Colour.BLUE,
        metrics=("auc", "f1", "mcc"), sizes=[3, 4], kinds={"a": "number", "b": "x=y"},
        inner=Inner(depth=5, on=False), json=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "The argument DATA is missing"),
        (("a", "--max-dorp", "1"), "no option --max-dorp. Did you mean '--max-drop'"),
        (("a", "--max", "1"), "There is no option --max"),
        (("a", "--mode", "slwo"), "'slwo' is not one of fast, slow. Did you mean 'slow'"),
        (("a", "--max-drop", "much"), "'max_drop'"),
        (("a", "--max-drop"), "expected one argument"),
        (("a", "--kinds", "x"), "not KEY=VALUE"),
        (("a", "--inner.depth", "0"), "'inner.depth'"),
        (("a", "--time", "soon"), "not a duration"),
    ],
)
def test_wrong_words_are_told(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(*words)


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = tmp_path / "lepta.yaml"
    path.write_text(
        "fit:\n  data: f.csv\n  max-drop: 0.2\n  mode: slow\n  inner: {depth: 7}\n  json: true\n"
        "serve: {port: 1}\n"
    )
    options = read("--config", str(path), "--no-inner.on", "--mode", "fast")
    assert options == Options(
        data=Path("f.csv"), max_drop=0.2, inner=Inner(depth=7, on=False), json=True
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fitt: {}", "no section 'fitt'. Did you mean 'fit'"),
        ("fit: 3", "is a mapping"),
        ("fit: {max_dorp: 1}", "Did you mean 'max_drop'"),
        ("fit: {max_drop: much}", "max_drop"),
        ("fit: [", "not YAML"),
        ("- 1", "mapping"),
    ],
)
def test_a_wrong_file_is_told_with_its_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "lepta.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read("a.csv", "--config", str(path))
    assert caught.value.where is not None
    assert caught.value.where.file == str(path)


def test_the_file_is_not_blamed_for_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "lepta.yaml"
    path.write_text("fit: {mode: slow}")
    with pytest.raises(ConfigError, match="max_drop") as caught:
        read("a.csv", "--config", str(path), "--max-drop", "much")
    assert caught.value.where is None


def test_help_shows_descriptions_defaults_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read("--help")
    text = capsys.readouterr().out
    assert "usage: lepta fit DATA [MORE...] [options]" in text
    assert "100% at most. (default: 0.01)" in text
    assert "--colour {red,blue}" in text
    assert "--sizes SIZES" in text
    assert "(default: 1,2)" in text
    assert "--json, --no-json" in text
    assert text.rstrip().endswith("lepta fit x 100%")


@given(st.floats(0, 1), st.lists(st.sampled_from(["auc", "f1", "mcc"])), st.booleans())
def test_what_is_written_is_read(drop: float, metrics: list[str], shuffle: bool) -> None:
    words = ["a.csv", f"--max-drop={drop!r}", "--shuffle" if shuffle else "--no-shuffle"]
    words += [word for metric in metrics for word in ("--metrics", metric)]
    options = read(*words)
    assert (options.max_drop, options.metrics) == (drop, tuple(metrics))
    assert options.shuffle is shuffle
