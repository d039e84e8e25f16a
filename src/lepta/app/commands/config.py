"""Write a configuration file that lists every option, or the JSON schema of such a file.

Examples:
  lepta config > lepta.yaml             every option of every command, commented out
  lepta config --schema > schema.json   for editors that check and complete YAML
  lepta fit data.csv --config lepta.yaml
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from pydantic import Field
from pydantic.json_schema import models_json_schema

from lepta.app.cli import COMMANDS
from lepta.app.options import HINTS
from lepta.app.output import show, show_json
from lepta.core.config import Config
from lepta.core.events import Context


class Options(Config):
    """What ``lepta config`` takes."""

    schema_: bool = Field(
        default=False, alias="schema", description="Write the JSON schema of lepta.yaml."
    )


def run(options: Options, context: Context) -> int:
    """Write the template, or the schema."""
    classes = sections()
    if options.schema_:
        show_json(schema(classes))
    else:
        show(template(classes))
    return 0


def sections() -> dict[str, type[Config]]:
    """Return the configuration class of every command that has options to configure."""
    found = {
        name: import_module(module).Options
        for name, (module, _) in COMMANDS.items()
        if name != "config"
    }
    return {name: cls for name, cls in found.items() if cls.model_fields}


def schema(classes: dict[str, type[Config]]) -> dict[str, Any]:
    """Return the JSON schema of the whole file: one section per command.

    Nothing is required in a section, since the command line can give it.
    """
    keys, shared = models_json_schema([(cls, "validation") for cls in classes.values()])
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lepta.yaml",
        "type": "object",
        "properties": {name: keys[cls, "validation"] for name, cls in classes.items()},
        "additionalProperties": False,
        **shared,
    }
    text = json.dumps(_clean(document))
    for name, cls in classes.items():
        reference = keys[cls, "validation"]["$ref"].rpartition("/")[2]
        text = text.replace(f'"{reference}"', f'"{_key(name)}"')
        text = text.replace(f'"#/$defs/{reference}"', f'"#/$defs/{_key(name)}"')
    result: dict[str, Any] = json.loads(text)
    for name in classes:
        result["$defs"][_key(name)].pop("required", None)
    return result


def _key(command: str) -> str:
    """Return a command's key in ``$defs``; a reference is a URI, which holds no space."""
    return command.replace(" ", "-")


def template(classes: dict[str, type[Config]]) -> str:
    """Return a lepta.yaml that names every option with its default, all commented out."""
    lines = [
        "# Configuration of lepta; one section per command, options as in `lepta COMMAND --help`.",
        "# The command line wins over this file. Delete the # before what you want to set.",
    ]
    for name, cls in classes.items():
        lines += ["", f"#{name}:  # {COMMANDS[name][1]}", *_options(cls, "  ")]
    return "\n".join(lines)


def _options(cls: type[Config], indent: str) -> Iterator[str]:
    for name, field in cls.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Config):
            yield f"#{indent}{field.alias or name}:"
            yield from _options(inner, indent + "  ")
            continue
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        plain = json.dumps(value, default=_plain, ensure_ascii=False)
        note = f"  # {' '.join(field.description.split())}" if field.description else ""
        yield f"#{indent}{field.alias or name}: {plain}{note}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, set | frozenset) else str(value)


def _clean(node: Any) -> Any:
    """Drop the hints that are meant for the command line."""
    if isinstance(node, dict):
        return {
            key: _clean(value)
            for key, value in node.items()
            if not (key in HINTS and isinstance(value, str | bool))
        }
    return [_clean(item) for item in node] if isinstance(node, list) else node
