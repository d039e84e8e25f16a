"""Several preprocessings that read the same inputs, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from lepta.bundle.manifest import InputSpec, TensorSpec
from lepta.core.errors import ExportError
from lepta.core.events import Context
from lepta.models.front import Front
from lepta.models.graph import Graph

if TYPE_CHECKING:
    from lepta.data import Dataset


@dataclass(frozen=True, eq=False)
class JointFront(Front):
    """Fronts side by side. Arrays are named "number/name", by the number of their front.

    Inputs and tensors that several of them read are declared once.
    """

    fronts: tuple[Front, ...] = ()

    @classmethod
    def of(cls, fronts: Sequence[Front]) -> JointFront:
        """Return the fronts side by side.

        Raises:
            ExportError: two of them read one field, or one tensor, in different ways.
        """
        joint = cls(table=None, fields=(), fronts=tuple(fronts))
        _merged("field", (spec for front in fronts for spec in front.inputs))
        _merged("tensor", (spec for front in fronts for spec in front.tensors))
        _ = joint.members
        return joint

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return tuple(_merged("field", (spec for front in self.fronts for spec in front.inputs)))

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        return tuple(_merged("tensor", (spec for front in self.fronts for spec in front.tensors)))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(_key(n, name) for n, front in enumerate(self.fronts) for name in front.names)

    @property
    def members(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for front in self.fronts:
            for name, data in front.members.items():
                if found.setdefault(name, data) != data:
                    raise ExportError(
                        f"Two parts of the model need different files called {name!r}.",
                        fix="Choose one of them by learner=; texts must be read alike by all.",
                    )
        return found

    def emit_from(self, graph: Graph, tensors: Mapping[str, str]) -> dict[str, str]:
        return {
            _key(number, name): value
            for number, front in enumerate(self.fronts)
            for name, value in front.emit_from(graph, tensors).items()
        }

    def run(self, data: Dataset, context: Context) -> dict[str, NDArray[Any]]:
        return {
            _key(number, name): array
            for number, front in enumerate(self.fronts)
            for name, array in front.run(data, context).items()
        }

    def part(self, values: Mapping[str, Any], number: int) -> dict[str, Any]:
        """Return what belongs to one front, by the names that it has there."""
        return {name: values[_key(number, name)] for name in self.fronts[number].names}


def _key(number: int, name: str) -> str:
    return f"{number}/{name}"


def _merged(noun: str, specs: Any) -> list[Any]:
    """Return specifications by name, each once."""
    found: dict[str, Any] = {}
    for spec in specs:
        if found.setdefault(spec.name, spec) != spec:
            raise ExportError(
                f"Two parts of the model read the {noun} {spec.name!r} in different ways.",
                fix="Choose one of them by learner=.",
            )
    return list(found.values())
