"""Command-line options and the configuration file, generated from a ``Config`` class.

A field ``max_drop`` becomes ``--max-drop``; a bool ``--x`` and ``--no-x``; a ``Literal`` or an
``Enum`` a choice; a tuple or list a repeatable, comma-separated option; a mapping a repeatable
``KEY=VALUE``; a nested ``Config`` the options ``--name.field``. A field may say more in
``json_schema_extra``: ``positional`` (True), ``short`` ("-o"), ``metavar`` ("FILE").
"""

from __future__ import annotations

import argparse
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from lepta.core.config import Config, read_mapping
from lepta.core.errors import ConfigError, Where, suggest

C = TypeVar("C", bound=Config)
Form = Literal["flag", "choice", "many", "pairs", "one"]
HINTS = frozenset({"positional", "short", "metavar"})
"""Keys of ``json_schema_extra`` that are meant for the command line."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises :class:`ConfigError` instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(
            message[:1].upper() + message[1:] + ("" if message.endswith((".", "?")) else "."),
            fix=f"`{self.prog} --help` lists the options.",
        )

    def parse(self, words: list[str]) -> argparse.Namespace:
        """Return what ``words`` give; options and positional arguments may alternate.

        Raises:
            ConfigError: an option is unknown (the nearest is suggested) or lacks its value.
        """
        found, extra = self.parse_known_intermixed_args(words)
        for word in extra:
            if word.startswith("-") and word != "-":
                name = word.split("=")[0]
                known = [text for action in self._actions for text in action.option_strings]
                self.error(f"There is no option {name}.{suggest(name, known)}")
        if extra:
            self.error(f"Nothing is expected after the arguments, but there is {extra[0]!r}.")
        return found


@dataclass(frozen=True)
class _Entry:
    """One field as the command line sees it; ``path`` leads to it through nested classes."""

    path: tuple[str, ...]
    field: FieldInfo
    form: Form
    choices: tuple[Any, ...] = ()

    @property
    def dest(self) -> str:
        return ".".join(self.path)

    @property
    def hints(self) -> Mapping[str, Any]:
        extra = self.field.json_schema_extra
        return extra if isinstance(extra, dict) else {}

    @property
    def positional(self) -> bool:
        return bool(self.hints.get("positional"))

    @property
    def flags(self) -> list[str]:
        long = "--" + self.dest.replace("_", "-")
        short = self.hints.get("short")
        return [str(short), long] if short else [long]

    @property
    def metavar(self) -> str:
        if "metavar" in self.hints:
            return str(self.hints["metavar"])
        if self.choices:
            return "{" + ",".join(str(_plain(choice)) for choice in self.choices) + "}"
        return "KEY=VALUE" if self.form == "pairs" else self.path[-1].upper()

    @property
    def name(self) -> str:
        """How to call the field in a message."""
        return self.metavar if self.positional else self.flags[-1]


def add_options(parser: argparse.ArgumentParser, cls: type[Config]) -> None:
    """Add one argument to ``parser`` for every field of ``cls``."""
    for entry in _entries(cls):
        help_text = _help(entry)
        if entry.positional:
            nargs = "*" if entry.form == "many" else "?"
            parser.add_argument(
                entry.dest, nargs=nargs, metavar=entry.metavar, type=_reader(entry), help=help_text
            )
        elif entry.form == "flag":
            parser.add_argument(
                *entry.flags,
                dest=entry.dest,
                action=argparse.BooleanOptionalAction,
                default=argparse.SUPPRESS,
                help=help_text,
            )
        else:
            several = entry.form in ("many", "pairs")
            parser.add_argument(
                *entry.flags,
                dest=entry.dest,
                action="extend" if several else "store",
                type=_reader(entry),
                metavar=entry.metavar,
                default=argparse.SUPPRESS,
                help=help_text,
            )


def usage(command: str, cls: type[Config]) -> str:
    """Return the usage line: the positional arguments by name, then the options."""
    words = [f"lepta {command}"]
    for entry in _entries(cls):
        if entry.positional:
            word = f"{entry.metavar}..." if entry.form == "many" else entry.metavar
            words.append(word if entry.field.is_required() else f"[{word}]")
    return " ".join([*words, "[options]"])


def given(cls: type[Config], namespace: argparse.Namespace) -> dict[str, Any]:
    """Return the values that the command line gave, nested as ``cls`` is."""
    values: dict[str, Any] = {}
    for entry in _entries(cls):
        value = getattr(namespace, entry.dest, None)
        if value is None or value == []:
            continue
        place = values
        for part in entry.path[:-1]:
            place = place.setdefault(part, {})
        place[entry.path[-1]] = dict(value) if entry.form == "pairs" else value
    return values


def section(path: Path, command: str, commands: Mapping[str, object]) -> dict[str, Any]:
    """Return the section of the configuration file ``path`` that belongs to ``command``.

    Raises:
        ConfigError: the file does not read, or has a section that is no command.
    """
    document = read_mapping(path)
    for name in document:
        if name not in commands:
            raise ConfigError(
                f"There is no section {name!r}.{suggest(str(name), commands)}",
                where=Where(file=str(path)),
                fix=f"Sections are named after commands: {', '.join(commands)}.",
            )
    values = document.get(command) or {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"The section {command!r} is a mapping of options to values.",
            where=Where(file=str(path)),
        )
    return {str(name).replace("-", "_"): value for name, value in values.items()}


def build(
    cls: type[C], values: dict[str, Any], *, base: dict[str, Any], source: str | None = None
) -> C:
    """Validate ``values`` of the command line laid over ``base`` from the file ``source``.

    Raises:
        ConfigError: something is missing, unknown or wrong.
    """
    merged = _merge(base, values)
    for entry in _entries(cls):
        if len(entry.path) == 1 and entry.field.is_required() and entry.dest not in merged:
            what = "argument" if entry.positional else "option"
            raise ConfigError(
                f"The {what} {entry.name} is missing.",
                fix=entry.field.description or None,
            )
    try:
        return cls.parse(merged)
    except ConfigError as error:
        details: Any = error.__cause__
        if source and any(detail["loc"][0] not in values for detail in details.errors()):
            error.where = Where(file=source)
        raise


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[name] = _merge(old, value) if both and old is not None else value
    return merged


def _entries(cls: type[Config], path: tuple[str, ...] = ()) -> Iterator[_Entry]:
    for name, field in cls.model_fields.items():
        kind = _bare(field.annotation)
        if isinstance(kind, type) and issubclass(kind, Config):
            yield from _entries(kind, (*path, field.alias or name))
        else:
            form, choices = _form(kind)
            yield _Entry((*path, field.alias or name), field, form, choices)


def _bare(annotation: Any) -> Any:
    """Strip ``Annotated`` and ``| None``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return _bare(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _form(kind: Any) -> tuple[Form, tuple[Any, ...]]:
    origin = get_origin(kind) or kind
    if kind is bool:
        return "flag", ()
    if origin in (tuple, list, set, frozenset):
        inner = get_args(kind)
        return "many", _choices(_bare(inner[0])) if inner else ()
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "pairs", ()
    choices = _choices(kind)
    return ("choice" if choices else "one"), choices


def _choices(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(kind)
    return ()


def _reader(entry: _Entry) -> Callable[[str], Any]:
    """Return the function from one word to a value; pydantic converts and validates later."""

    def one(text: str) -> Any:
        if not entry.choices:
            return text
        known = {str(_plain(choice)): choice for choice in entry.choices}
        if text in known:
            return known[text]
        raise argparse.ArgumentTypeError(
            f"{text!r} is not one of {', '.join(known)}.{suggest(text, known)}"
        )

    def many(text: str) -> list[Any]:
        return [one(part.strip()) for part in text.split(",") if part.strip()]

    if entry.form == "pairs":
        return _pair
    return many if entry.form == "many" and not entry.positional else one


def _pair(text: str) -> list[tuple[str, str]]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return [(key, value)]


def _help(entry: _Entry) -> str:
    text = " ".join((entry.field.description or "").split())
    default = _default(entry)
    return f"{text} ({default})".strip().replace("%", "%%") if default else text.replace("%", "%%")


def _default(entry: _Entry) -> str:
    if entry.field.is_required():
        return "" if entry.positional else "required"
    value = entry.field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, tuple | list | set | frozenset):
        return f"default: {','.join(str(_plain(part)) for part in value)}" if value else ""
    if value is None or value in ("", {}):
        return ""
    if isinstance(value, bool):
        return f"default: {'yes' if value else 'no'}"
    return f"default: {value:g}" if isinstance(value, float) else f"default: {_plain(value)}"


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
