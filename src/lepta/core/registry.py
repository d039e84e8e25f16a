"""Plug-ins by name: built-ins given as import strings, others found by entry point."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from lepta.core.errors import ConfigError, suggest


class Registry:
    """Names mapped to objects that are imported only when asked for.

    Args:
        group: entry-point group under which other packages add names ("lepta.learners").
        noun: what the objects are, for error messages ("learner").
        builtin: name to "package.module:attribute".
    """

    def __init__(self, group: str, noun: str, builtin: Mapping[str, str]) -> None:
        self.group, self.noun = group, noun
        self._builtin = dict(builtin)

    def names(self) -> tuple[str, ...]:
        """All known names, sorted."""
        found = {point.name for point in entry_points(group=self.group)}
        return tuple(sorted(found | self._builtin.keys()))

    def get(self, name: str) -> Any:
        """Return the object called ``name``.

        Raises:
            ConfigError: no such name; the nearest known one is suggested.
        """
        if name in self._builtin:
            module, _, attribute = self._builtin[name].partition(":")
            return getattr(import_module(module), attribute)
        for point in entry_points(group=self.group, name=name):
            return point.load()
        raise ConfigError(
            f"There is no {self.noun} called {name!r}.{suggest(name, self.names())}",
            fix=f"Known: {', '.join(self.names())}.",
        )
