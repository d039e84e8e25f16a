"""What a person may write for a space of options, and what options a learner has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from lepta.core.config import read_mapping
from lepta.core.errors import ConfigError, Where, suggest
from lepta.core.space import Choice, Range, Space, Spread, default_of, space_of

NOTATION = """\
  0.001..0.1 log        any number between, in factors (learning rates)
  0.0..0.5              any number between
  0..0.5 step 0.1       numbers on a grid
  32..512 log           whole numbers between (both ends are whole)
  relu|gelu|tanh        one of these
  default               the learner's own range of this option"""
"""How a range is written, line by line."""

_NUMBER = r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_SPAN = re.compile(
    rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*(?:(log)|step\s+({_NUMBER}))?\s*", re.ASCII
)
_KEYS = ("low", "high", "log", "step")


def read_space(given: Mapping[str, Any] | Path | str | None, owner: type) -> Space:
    """Return a space for a learner.

    Args:
        given: options by (dotted) name and what they may be, or a YAML or JSON file of such; None
            for all ranges that the learner's options name. A value is a :class:`Range`, a
            :class:`Choice`, a list of values, a mapping ``{low, high, log, step}``, or text as in
            :data:`NOTATION`.
        owner: the class of the learner.

    Raises:
        ConfigError: the learner has no such option, a range does not read, or the space is empty.
    """
    if given is None:
        space = space_of(owner)
        if not space:
            raise ConfigError(
                f"The options of {owner.__name__} name no ranges.",
                fix="Give a space: its options are " + ", ".join(names_of(owner)) + ".",
            )
        return space
    where = None
    if isinstance(given, str | Path):
        given, where = read_mapping(given), Where(file=str(given))
    if not given:
        raise ConfigError("The space is empty.", where=where, fix=f"Name options:\n{NOTATION}")
    try:
        return {str(name): _named(str(name), value, owner) for name, value in given.items()}
    except ConfigError as error:
        error.where = error.where or where
        raise


def spread_of(value: Any) -> Spread:
    """Return what was written for one option.

    Raises:
        ConfigError: it does not read.
    """
    if isinstance(value, Range | Choice):
        return value
    if isinstance(value, Mapping):
        return _from_mapping(value)
    if isinstance(value, list | tuple):
        return Choice(*value)
    if isinstance(value, str):
        return _from_text(value)
    return Choice(value)


def names_of(owner: type) -> tuple[str, ...]:
    """Return the names of a learner's options, those of nested ones dotted."""
    found: list[str] = []
    hints = get_type_hints(owner)
    for field in fields(owner):
        kind = hints[field.name]
        if is_dataclass(kind) and isinstance(kind, type):
            found += [f"{field.name}.{name}" for name in names_of(kind)]
        else:
            found.append(field.name)
    return tuple(found)


def within(spread: Spread, value: Any) -> bool:
    """Whether an option may have this value."""
    if isinstance(spread, Choice):
        return any(type(value) is type(one) and value == one for one in spread.options)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    if spread.step is not None:
        steps = (value - spread.low) / spread.step
        if abs(steps - round(steps)) > 1e-9:
            return False
    return spread.low <= value <= spread.high and (not spread.whole or float(value).is_integer())


def defaults_in(space: Space, owner: type) -> dict[str, Any] | None:
    """Return the learner's own values of the options; None where one lies outside of its range."""
    found = {}
    for name, spread in space.items():
        try:
            value = default_of(owner, name)
        except (ConfigError, KeyError, AttributeError):
            return None
        if not within(spread, value):
            return None
        found[name] = value
    return found


def _named(name: str, value: Any, owner: type) -> Spread:
    known, free = names_of(owner), _free(owner)
    if name not in known and not any(name.startswith(f"{one}.") for one in free):
        raise ConfigError(
            f"{owner.__name__} has no option {name!r}.{suggest(name, known)}",
            fix=f"Its options are: {', '.join(known)}.",
        )
    if isinstance(value, str) and value.strip() == "default":
        own = space_of(owner)
        if name not in own:
            raise ConfigError(
                f"The option {name!r} has no range of its own.",
                fix=f"Write one:\n{NOTATION}",
            )
        return own[name]
    try:
        return spread_of(value)
    except ConfigError as error:
        raise ConfigError(f"The range of {name!r}: {error.what}", fix=error.fix) from error


def _free(owner: type) -> list[str]:
    """Return the options that are mappings, whose keys nobody lists."""
    hints = get_type_hints(owner)
    return [f.name for f in fields(owner) if get_origin(hints[f.name]) is dict]


def _from_mapping(value: Mapping[Any, Any]) -> Range:
    for key in value:
        if key not in _KEYS:
            raise ConfigError(
                f"There is no {key!r} in a range.{suggest(str(key), _KEYS)}",
                fix="Write {low: 0.001, high: 0.1, log: true}, or a list of values.",
            )
    low, high = value.get("low"), value.get("high")
    numbers = (low, high) if value.get("step") is None else (low, high, value["step"])
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise ConfigError(
            f"{dict(value)} is no range of numbers.",
            fix="Write {low: 0.001, high: 0.1, log: true}; YAML reads 1e-3 as text: write 1.0e-3.",
        )
    assert isinstance(low, int | float)  # noqa: S101
    assert isinstance(high, int | float)  # noqa: S101
    return Range(low, high, log=bool(value.get("log", False)), step=value.get("step"))


def _from_text(text: str) -> Spread:
    if ".." in text:
        match = _SPAN.fullmatch(text)
        if match is None:
            raise ConfigError(f"{text!r} is no range.", fix=f"Write:\n{NOTATION}")
        low, high = _number(match[1]), _number(match[2])
        step = None if match[4] is None else _number(match[4])
        return Range(low, high, log=match[3] is not None, step=step)
    return Choice(*(_plain(part.strip()) for part in text.split("|")))


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def _plain(text: str) -> Any:
    """Return a value as YAML would read it: a number, yes or no, none, or text."""
    named = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in named:
        return named[text.lower()]
    return _number(text) if re.fullmatch(_NUMBER, text) else text


def written(spread: Spread) -> str:
    """Return a range in the words of :data:`NOTATION`."""
    if isinstance(spread, Choice):
        return "|".join("none" if one is None else str(one) for one in spread.options)
    end = " log" if spread.log else "" if spread.step is None else f" step {spread.step}"
    return f"{spread.low}..{spread.high}{end}"
