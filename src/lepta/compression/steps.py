"""The seam of everything that makes a model smaller or faster.

A step is a frozen dataclass whose fields are its options, with their ranges where they have some
(:mod:`lepta.core.space`). It stands under a name in :data:`COMPRESSORS`; other packages add theirs
by an entry point in the group ``lepta.compressors``. A search puts steps into chains; the guard
(:mod:`lepta.compression.guard`) decides which of the models that come out may stay.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from lepta.core.registry import Registry

if TYPE_CHECKING:
    from lepta.compression.candidate import Candidate, Material
    from lepta.core.events import Context

COMPRESSORS = Registry(
    "lepta.compressors",
    "step of compression",
    {
        "distil": "lepta.compression.distilling:Distil",
        "dynamic": "lepta.compression.dynamic:Dynamic",
        "fold": "lepta.compression.plain:Fold",
        "half": "lepta.compression.plain:Half",
        "int8": "lepta.compression.int8:Int8",
        "weights8": "lepta.compression.plain:Weights8",
    },
)
"""Everything that makes a model smaller or faster, by name."""


class Stage(IntEnum):
    """When a step is due. A chain holds one step of a stage at the most, in this order."""

    REPLACE = 0
    """Another model takes the place of this one: distillation."""
    SHRINK = 1
    """Parts are taken away: channels, heads, trees, ranks. The model is fine-tuned after it."""
    CLEAN = 2
    """The graph is written more plainly; answers stay the same."""
    NUMBERS = 3
    """Numbers of fewer bits to compute with."""
    STORAGE = 4
    """Numbers of fewer bits to keep; what is computed stays the same."""


@dataclass(frozen=True)
class Compressor(ABC):
    """One step. It changes nothing; it returns another candidate.

    A step may assume that the candidate answers as its workshop does where no step of the stage
    ``NUMBERS`` came before. It keeps the signature, and preprocessing inside the graph. Nothing is
    promised of accuracy: that is the guard's part.
    """

    name: ClassVar[str]
    """Under which it is registered."""
    stage: ClassVar[Stage]
    exact: ClassVar[bool] = False
    """Whether answers stay the same but for rounding; this is checked, not believed."""
    trains: ClassVar[bool] = False
    """Whether it trains, and so takes minutes where others take seconds."""

    def refusal(self, candidate: Candidate, material: Material) -> str:
        """Return why the step cannot be done, or an empty string; it costs next to nothing."""
        return ""

    @abstractmethod
    def apply(self, candidate: Candidate, material: Material, context: Context) -> Candidate:
        """Return the candidate with the step done: ``candidate.then(self, model, ...)``.

        Args:
            candidate: what the steps before made.
            material: rows to learn from, and what the model is made for.
            context: seed, progress, threads; a step that trains keeps to its deadline.

        Raises:
            CompressError: it cannot be done; the search goes on without it.
        """

    def ladder(self) -> tuple[Compressor, ...]:
        """Return gentler versions of the step, the next one first.

        The search tries them one after the other while the guard refuses the result.
        """
        return ()

    def bolder(self) -> tuple[Compressor, ...]:
        """Return bolder versions, the next one first, tried while the guard accepts the result."""
        return ()

    def __str__(self) -> str:
        given = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
        settings = ", ".join(f"{name}={value}" for name, value in given.items())
        return f"{self.name}({settings})" if settings else self.name
