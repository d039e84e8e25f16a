"""A bundle as one C file and its header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lepta.bundle import Bundle
from lepta.core.errors import ExportError, Where, missing_extra
from lepta.core.files import write_text
from lepta.core.schema import Kind
from lepta.edge.c.document import Costs, header, kind_of, members, self_test
from lepta.edge.c.plan import place
from lepta.edge.c.text import SIZES, identifier
from lepta.edge.c.writer import Writer
from lepta.edge.places import file_at
from lepta.edge.program import Array, Shape, read_program
from lepta.runtime.predictor import examples_of

LARGEST = 64 << 20
"""Bytes of constants beyond which a C file would be too long for compilers."""
_KINDS = frozenset(
    {Kind.NUMBER, Kind.CATEGORY, Kind.DATETIME, Kind.IMAGE, Kind.SERIES, Kind.VOLUME}
)


def write_c(bundle: Bundle, path: Path) -> Path:
    """Write ``NAME.c`` and ``NAME.h``: C99 that depends on nothing and allocates nothing.

    Images are taken at the size that the model works at: whoever calls resizes them.

    Args:
        bundle: a model of numbers, categories, date-times, series or images.
        path: ``NAME.c``, or a name without suffix.

    Returns:
        The path of the C file.

    Raises:
        ExportError: an operator or an input has no form in C.
        MissingExtraError: onnx is not installed.
    """
    target = file_at(path, ".c", bundle).with_suffix(".c")
    source, head = texts(bundle, identifier(path.stem))
    write_text(target.with_suffix(".h"), head)
    write_text(target, source.replace("@HEADER@", target.with_suffix(".h").name))
    return target


def texts(bundle: Bundle, prefix: str) -> tuple[str, str]:
    """Return the C file and the header; names in them begin with ``prefix``."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise missing_extra("onnx", "train", "The export to C") from error
    for spec in bundle.signature.inputs:
        if spec.kind not in _KINDS:
            raise ExportError(
                f"The input {spec.name!r} is {spec.kind.value}, which the C export does not take.",
                where=Where(field=spec.name),
                fix="Export to onnx or ort, and run it with ONNX Runtime.",
            )
    output = bundle.task.output().name
    program = read_program(bundle.read("model.onnx"), bundle.signature.tensors, output)
    writer = Writer(program, {t: f"input->{name}" for t, name in members(bundle).items()})
    _write(writer)
    needed = place(writer.buffers)
    if writer.constant_bytes > LARGEST:
        raise ExportError(
            f"The model holds {writer.constant_bytes / 2**20:.0f} MiB of constants, too many for a "
            "C file.",
            fix="Make it smaller with lepta compress, or export to ort, openvino or litert.",
        )
    size = program.values[output].size
    costs = _costs(bundle, program.inputs, writer, needed)
    head = header(bundle, prefix, program.inputs, size, costs)
    test = self_test(bundle, prefix, _examples(bundle, program.inputs))
    return _source(prefix, writer, needed) + test, head


def _write(writer: Writer) -> None:
    from lepta.edge.c.operators import LOWERINGS

    program = writer.program
    for node in program.nodes:
        if node.op not in LOWERINGS:
            raise writer.refusal(node)
    for step, node in enumerate(program.nodes):
        writer.step = step
        if node.outputs[0] not in writer.done:
            LOWERINGS[node.op](writer, node)
    writer.step = len(program.nodes)
    read, size = writer.at(program.output), program.values[program.output].size
    with writer.loops((size,), [(1,)]) as (index,):
        writer.line(f"scores[{index}] = (float){read(index)};")


def _costs(
    bundle: Bundle, shapes: Mapping[str, Shape], writer: Writer, needed: Mapping[str, int]
) -> Costs:
    taken = sum(SIZES[kind_of(t)] * int(np.prod(shapes[t.name])) for t in bundle.signature.tensors)
    workspace = sum(SIZES[kind] * count for kind, count in needed.items())
    return Costs(writer.constant_bytes, workspace, taken)


def _source(prefix: str, writer: Writer, needed: Mapping[str, int]) -> str:
    stores = []
    for kind, count in sorted(needed.items()):
        space = "" if kind.endswith("*") else " "
        stores.append(f"static {kind}{space}{_store(kind)}[{count}];")
    body = "\n".join(writer.lines)
    pointers = [
        f"    {b.kind}{'' if b.kind.endswith('*') else ' '}*const {b.name} = "
        f"{_store(b.kind)} + {b.offset};"
        for b in writer.buffers
    ]
    parts = [
        '#include <math.h>\n#include <stddef.h>\n#include <string.h>\n\n#include "@HEADER@"',
        *(text for _, text in writer.constants.values()),
        *(text.strip() for text in writer.kernels.values()),
        "\n".join(stores),
        f"void {prefix}_predict(const {prefix}_input *input, "
        f"float scores[{prefix.upper()}_SCORES])\n"
        "{\n" + "\n".join(pointers) + "\n" + body + "\n}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n\n"


def _store(kind: str) -> str:
    return "workspace_" + kind.replace("const char *", "text").removesuffix("_t")


def _examples(bundle: Bundle, shapes: Mapping[str, Shape]) -> list[dict[str, Array]]:
    """Return the bundle's examples of one row that have the sizes of the program."""
    found = []
    for _, tensors, expected in examples_of(bundle):
        rows = {key: value[:1] for key, value in tensors.items()}
        if all(rows[key].shape == shape for key, shape in shapes.items()):
            found.append({**rows, "expected": expected[:1]})
    return found
