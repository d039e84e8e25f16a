"""What an engine is: something that runs a function over items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from lepta.core.errors import LeptaError
from lepta.core.events import Context
from lepta.core.registry import Registry

T = TypeVar("T")
R = TypeVar("R")


class ItemError(LeptaError):
    """The function failed on one item.

    Attributes:
        index: position of the item, from 0.
    """

    code = "item"

    def __init__(self, index: int, item: object, cause: BaseException, fix: str | None) -> None:
        shown = repr(item)
        shown = shown if len(shown) <= 120 else f"{shown[:117]}..."
        what = getattr(cause, "what", None) or f"{type(cause).__name__}: {cause}"
        super().__init__(f"Item {index} ({shown}) failed: {what}", fix=fix)
        self.index = index


class Engine(Protocol):
    """Runs functions over items, here or elsewhere."""

    def run(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        *,
        workers: int | None = None,
        context: Context | None = None,
        name: str = "Working",
    ) -> list[R]:
        """Return ``function(item)`` for every item, in order.

        Raises:
            ItemError: the function raised; work not yet begun is dropped.
        """
        ...


ENGINES = Registry("lepta.engines", "engine", {"local": "lepta.engine.local:LocalEngine"})
"""Engines by name; other packages add theirs by entry point."""


def engine(name: str = "local", **options: Any) -> Engine:
    """Return a new engine.

    Raises:
        ConfigError: there is no engine of that name.
    """
    made: Engine = ENGINES.get(name)(**options)
    return made
