"""Ranges of options that a search may choose from, written where the option is.

An option that can be tuned carries its range in its annotation::

    learning_rate: Annotated[float, Range(0.005, 0.3, log=True)] = 0.03

:func:`space_of` gathers them; there is no second list of what can be tuned.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from lepta.core.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    Attributes:
        low, high: the ends; integers make an option of integers.
        log: whether equal factors, and not equal steps, count as equally far apart.
        step: the grid, from ``low`` on; None for any number.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        finite = math.isfinite(self.low) and math.isfinite(self.high)
        if not finite or self.low > self.high:
            raise ConfigError(f"A range goes from a lower to a higher number, not {self}.")
        if self.log and self.low <= 0:
            raise ConfigError(f"A range in factors begins above 0, not at {self.low}.")
        if self.log and self.step is not None:
            raise ConfigError("A range has factors or steps, not both.")

    @property
    def whole(self) -> bool:
        """Whether the numbers are integers."""
        return all(isinstance(n, int) for n in (self.low, self.high, self.step or 1))


@dataclass(frozen=True, init=False)
class Choice:
    """One of some values, in no order."""

    options: tuple[Any, ...]

    def __init__(self, *options: Any) -> None:
        if not options:
            raise ConfigError("A choice needs at least one value.")
        object.__setattr__(self, "options", options)


Spread = Range | Choice
Space = dict[str, Spread]
"""Options that are searched, by name ("loop.learning_rate"), and what they may be."""


def space_of(owner: type) -> Space:
    """Return the ranges in the annotations of a dataclass, those of nested ones by dotted names."""
    space: Space = {}
    hints = get_type_hints(owner, include_extras=True)
    for field in fields(owner):
        hint = hints[field.name]
        found = [part for part in get_args(hint) if isinstance(part, Range | Choice)]
        if get_origin(hint) is Annotated and found:
            space[field.name] = found[0]
        elif is_dataclass(hint) and isinstance(hint, type):
            space |= {f"{field.name}.{name}": part for name, part in space_of(hint).items()}
    return space


def default_of(owner: type, name: str) -> Any:
    """Return the default of an option of a dataclass, by its dotted name."""
    first, _, rest = name.partition(".")
    field = {field.name: field for field in fields(owner)}[first]
    if field.default is not MISSING:
        value: Any = field.default
    elif field.default_factory is not MISSING:
        value = field.default_factory()
    else:
        raise ConfigError(f"The option {name!r} has no default.")
    for part in rest.split(".") if rest else ():
        value = getattr(value, part)
    return value
