"""Audit an ONNX model from its bytes: nothing outside it, known operators only.

ONNX Runtime follows the paths of external data; a model that names one is refused before it gets
there. Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lepta.bundle.wire import BYTES, VARINT, WireError, fields
from lepta.core.errors import BundleError

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operator domains that a bundle's graph may use."""
MAX_DEPTH = 100
"""Messages within messages; protobuf's own limit."""
_FILE_OPERATORS = frozenset({"EPContext"})
"""Operators of these domains whose attributes name files."""


@dataclass(frozen=True)
class _Message:
    """Known fields of a message, and which of them are messages to walk."""

    known: frozenset[int]
    nested: dict[int, str] = field(default_factory=dict)


_MESSAGES = {
    "Model": _Message(
        frozenset({*range(1, 9), 14, 20, 25, 26}), {7: "Graph", 20: "Training", 25: "Function"}
    ),
    "Graph": _Message(
        frozenset({1, 2, 5, *range(10, 17)}), {1: "Node", 5: "Tensor", 15: "SparseTensor"}
    ),
    "Node": _Message(frozenset(range(1, 11)), {5: "Attribute"}),
    "Attribute": _Message(
        frozenset({*range(1, 12), *range(13, 16), *range(20, 24)}),
        {
            5: "Tensor",
            6: "Graph",
            10: "Tensor",
            11: "Graph",
            22: "SparseTensor",
            23: "SparseTensor",
        },
    ),
    "Tensor": _Message(frozenset({*range(1, 15), 16})),
    "SparseTensor": _Message(frozenset({1, 2, 3}), {1: "Tensor", 2: "Tensor"}),
    "Function": _Message(frozenset({1, *range(4, 15)}), {7: "Node", 11: "Attribute"}),
    "Training": _Message(frozenset(range(1, 5)), {1: "Graph", 2: "Graph"}),
}
_RUNS = {
    "Attribute": {
        0x3D: re.compile(rb"(?:\x3d[\x00-\xff]{4})++"),  # floats
        0x40: re.compile(rb"(?:\x40[\x80-\xff]{0,9}+[\x00-\x7f])++"),  # ints
    }
}


def audit_onnx(data: bytes, name: str = "model.onnx") -> None:
    """Check that an ONNX model keeps all its data inside and uses known operators.

    Raises:
        BundleError: the bytes are no ONNX model; a tensor (initializer, sparse initializer,
            attribute, in any subgraph, function or training graph) lies outside; an operator is
            of an unknown domain; messages nest deeper than :data:`MAX_DEPTH`.
    """
    if data[4:8] == b"ORTM":  # ONNX Runtime would read the bytes as this format, not as protobuf
        raise BundleError(f"{name} is an ORT model, not an ONNX one.", fix="Export it to ONNX.")
    try:
        graphs = _walk(data, name)
    except WireError as error:
        raise BundleError(f"{name} is not an ONNX model: {error}.") from error
    if not graphs:
        raise BundleError(f"{name} holds no graph.")


def _walk(data: bytes, name: str) -> int:
    graphs = 0
    waiting = [("Model", 0, len(data), 1)]
    while waiting:
        kind, start, end, depth = waiting.pop()
        graphs += kind == "Graph"
        if depth > MAX_DEPTH:
            raise BundleError(f"{name} nests messages deeper than {MAX_DEPTH}.")
        message = _MESSAGES[kind]
        for number, wire, first, last in fields(data, start, end, _RUNS.get(kind)):
            if number not in message.known:
                raise BundleError(
                    f"{name} has an unknown field ({number} of {kind}).", fix="Upgrade lepta."
                )
            if number in message.nested:
                if wire != BYTES:
                    raise WireError(f"field {number} of {kind} is no message")
                waiting.append((message.nested[number], first, last, depth + 1))
            elif kind == "Tensor" and _is_outside(number, wire, first):
                raise _outside(data, start, end, name)
            elif kind == "Node" and wire == BYTES:
                _check_operator(number, data[first:last].decode("utf-8", "replace"), name)
    return graphs


def _is_outside(number: int, wire: int, value: int) -> bool:
    """Whether a tensor's field says that its data lie elsewhere (external_data, data_location)."""
    return number == 13 or (number == 14 and (wire != VARINT or value != 0))


def _outside(data: bytes, start: int, end: int, name: str) -> BundleError:
    tensor = next(
        (
            data[first:last].decode("utf-8", "replace")
            for number, wire, first, last in fields(data, start, end)
            if (number, wire) == (8, BYTES)
        ),
        "",
    )
    return BundleError(
        f"The tensor {tensor!r} of {name} keeps its data in another file.",
        fix="Save the model with all data inside: onnx.save(model, path, "
        "save_as_external_data=False).",
    )


def _check_operator(number: int, text: str, name: str) -> None:
    if number == 7 and text not in DOMAINS:
        raise BundleError(
            f"{name} uses operators of the unknown domain {text!r}.",
            fix=f"Known domains: {', '.join(sorted(DOMAINS - {''}))}.",
        )
    if number == 4 and text in _FILE_OPERATORS:
        raise BundleError(f"{name} uses the operator {text}, which reads other files.")
