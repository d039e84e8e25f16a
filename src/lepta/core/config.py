"""Typed configuration: one class gives validation, defaults, command line, YAML schema and docs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from lepta.core.errors import ConfigError, Where, missing_extra, suggest

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> float:
    """Return seconds from a number, or from text such as "90", "60s", "10m", "1.5h", "1d"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", str(value))
    if not match:
        raise ValueError(f"{value!r} is not a duration; write 60s, 10m or 1.5h")
    return float(match[1]) * _UNITS[match[2]]


Seconds = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=float | str)]
"""Seconds; accepts "60s", "10m", "1.5h"."""


class Config(BaseModel):
    """Base of every configuration class. Unknown options are refused with the nearest known one.

    Field descriptions are the help texts of the command line and of the reference page.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def parse(cls, values: dict[str, Any], *, source: str | None = None) -> Self:
        """Validate ``values``.

        Raises:
            ConfigError: an option is unknown or has a wrong value; all problems are listed.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(
                "\n".join(_problem(cls, detail) for detail in error.errors()),
                where=Where(file=source) if source else None,
                fix="Correct the option; `lepta COMMAND --help` lists them all.",
            ) from error


def read_mapping(path: Path | str) -> dict[str, Any]:
    """Read a YAML or JSON file that holds a mapping.

    Raises:
        ConfigError: the file is absent, does not parse, or holds something else.
    """
    where = Where(file=str(path))
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration cannot be read: {error}", where=where) from error
    document = _parse(text, where)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError("A configuration is a mapping of options to values.", where=where)
    return document


def _parse(text: str, where: Where) -> Any:
    if (where.file or "").endswith(".json"):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"This is not JSON: {error}", where=where) from error
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise missing_extra("pyyaml", "data", "Reading YAML") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"This is not YAML: {error}", where=where) from error


def _problem(cls: type[BaseModel], detail: Any) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = _options(cls, detail["loc"][:-1])
        return f"There is no option {path!r}.{suggest(str(detail['loc'][-1]), known)}"
    return f"Option {path!r}: {detail['msg']} (got {detail['input']!r})."


def _options(cls: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    for part in path:
        field = cls.model_fields.get(str(part))
        kind = field.annotation if field else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        cls = kind
    return list(cls.model_fields)
