"""List the models of a project; register a bundle; point an alias at a version.

A registered model is called by NAME (the newest version), NAME@2 or NAME@champion, here and in
`lepta serve`. The store is the folder .lepta, or what MLFLOW_TRACKING_URI names.

Examples:
  lepta models
  lepta models --register ct.lepta --name ct
  lepta models --alias ct@champion=2
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field as Option

from lepta.app.output import show, show_json, table
from lepta.core.config import Config
from lepta.core.errors import ConfigError
from lepta.core.events import Context

if TYPE_CHECKING:
    from lepta.store import ModelVersion, Store


class Options(Config):
    """Options of ``lepta models``."""

    register_: Path | None = Option(
        default=None,
        alias="register",
        description="Bundle to make the next version of a model.",
        json_schema_extra={"metavar": "NAME.lepta"},
    )
    name: str | None = Option(
        default=None, description="Model to register it as; the file's name by default."
    )
    alias: tuple[str, ...] = Option(
        default=(),
        description="Let an alias mean a version.",
        json_schema_extra={"metavar": "NAME@ALIAS=VERSION"},
    )
    store: str | None = Option(
        default=None,
        description="A folder or an MLflow URI.",
        json_schema_extra={"metavar": "STORE"},
    )
    json_: bool = Option(default=False, alias="json", description="Print JSON.")


def run(options: Options, context: Context) -> int:
    """Register, alias, list."""
    from lepta.store import Store

    if options.name is not None and options.register_ is None:
        raise ConfigError("--name goes with --register.", fix="Add --register NAME.lepta.")
    wishes = [_wish(text) for text in options.alias]
    store = Store(options.store, context=context)
    if options.register_ is not None:
        store.register(options.name or options.register_.stem, options.register_)
    for name, alias, version in wishes:
        store.alias(name, alias, version)
    _list(store, as_json=options.json_)
    return 0


def _wish(text: str) -> tuple[str, str, int]:
    match = re.fullmatch(r"([^@=]+)@([^@=]+)=(\d+)", text)
    if match is None:
        raise ConfigError(f"{text!r} is not NAME@ALIAS=VERSION.", fix="Like ct@champion=2.")
    return match[1], match[2], int(match[3])


def _list(store: Store, *, as_json: bool) -> None:
    versions = [version for model in store.models() for version in model.versions]
    if as_json:
        show_json([asdict(v) | {"created": v.created.isoformat()} for v in versions])
    elif versions:
        header = ["model", "version", "aliases", "registered", "metrics", "sha256"]
        show(table(header, [_row(version) for version in versions]))
    else:
        show("No models yet; `lepta fit` registers one.")


def _row(version: ModelVersion) -> list[str]:
    metrics = [f"{name} {value:.4g}" for name, value in list(version.metrics.items())[:3]]
    created = version.created.astimezone().strftime("%Y-%m-%d %H:%M")
    aliases = " ".join(version.aliases)
    number = str(version.version)
    return [version.name, number, aliases, created, "  ".join(metrics), version.sha256[:12]]
