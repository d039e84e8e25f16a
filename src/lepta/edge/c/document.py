"""The header: what goes in, what comes out, what it costs. And the self-test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lepta.bundle import Bundle
from lepta.bundle.manifest import InputSpec, TensorSpec
from lepta.edge.c.text import ctype, identifier, literal
from lepta.edge.program import Array, Shape
from lepta.runtime.predictor import TOLERANCE

_SHOWN = 12


@dataclass(frozen=True)
class Costs:
    """What a program takes, in bytes."""

    constants: int
    workspace: int
    input: int


def kind_of(tensor: TensorSpec) -> str:
    """Return the type in C of a tensor's elements."""
    return ctype("object" if tensor.dtype == "string" else tensor.dtype)


def is_large(tensor: TensorSpec) -> bool:
    """Whether a tensor is one field of many elements, which is pointed to and not copied."""
    return len(tensor.shape) > 2


def members(bundle: Bundle) -> dict[str, str]:
    """Return the name in C of each tensor in the struct of inputs."""
    return distinct({t.name: t.name for t in bundle.signature.tensors})


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Return names in C that differ, by key."""
    found: dict[str, str] = {}
    for key, text in names.items():
        name = stem = identifier(text)
        count = 2
        while name in found.values():
            name, count = f"{stem}_{count}", count + 1
        found[key] = name
    return found


def comment(text: str) -> str:
    """Return text that may stand in a comment of one line."""
    return (
        " ".join(text.replace("*/", "* /").replace("/*", "/ *").split())
        .encode("ascii", "replace")
        .decode()
        .replace("??", "? ?")
    )


def header(
    bundle: Bundle, prefix: str, shapes: Mapping[str, Shape], size: int, costs: Costs
) -> str:
    """Return the text of the header."""
    up, task = prefix.upper(), bundle.task
    parts = [
        f"/* {comment(bundle.manifest.name)}: {comment(type(task).__name__.lower())} of "
        f"{comment(task.target)}.\n"
        f" *\n"
        f" * C99; needs <math.h>, <stdint.h>, <string.h> and nothing else; allocates nothing.\n"
        f" * Constants (flash): {costs.constants:,} bytes, and the code.\n"
        f" * Workspace (RAM, static): {costs.workspace:,} bytes; inputs: {costs.input:,} bytes.\n"
        f" * Pointers are counted as 4 bytes. One call at a time: the workspace is shared.\n"
        f" * Self-test: cc -std=c99 -D{up}_SELF_TEST {prefix}.c -lm && ./a.out\n"
        f" * Bundle: SHA-256 {bundle.digest}. */",
        f"#ifndef {up}_H\n#define {up}_H\n\n#include <stdint.h>\n\n"
        '#ifdef __cplusplus\nextern "C" {\n#endif',
        *_positions(bundle, up),
        _struct(bundle, prefix, shapes),
        _outputs(bundle, up, prefix, size),
        f"/* Fill `scores` for one row. */\n"
        f"void {prefix}_predict(const {prefix}_input *input, float scores[{up}_SCORES]);",
        "#ifdef __cplusplus\n}\n#endif\n\n#endif",
    ]
    return "\n\n".join(parts) + "\n"


def _positions(bundle: Bundle, up: str) -> list[str]:
    """Return an enumeration for each tensor that holds several fields."""
    specs = {spec.name: spec for spec in bundle.signature.inputs}
    texts = []
    for tensor in bundle.signature.tensors:
        if is_large(tensor):
            continue
        names = distinct({name: f"{tensor.name} {name}" for name in tensor.fields})
        lines = [
            f"    {up}_{names[name].upper()} = {at}, /* {describe(specs[name])} */"
            for at, name in enumerate(tensor.fields)
        ]
        texts.append("\n".join([f"/* Positions in `{tensor.name}`. */", "enum {", *lines, "};"]))
    return texts


def describe(spec: InputSpec) -> str:
    """Return what a field is, for a comment."""
    absent = {"string": 'NULL or "" if missing', "float64": "NAN if missing"}
    parts = [spec.name, spec.kind.value]
    if spec.unit:
        parts.append(f"in {spec.unit}")
    if spec.kind.value == "datetime":
        parts.append("seconds since 1970 UTC")
    if spec.classes:
        shown = ", ".join(spec.classes[:_SHOWN])
        parts.append("one of: " + shown + (", ..." if len(spec.classes) > _SHOWN else ""))
    if len(spec.shape) == 1:
        parts.append(absent.get(spec.dtype, "NAN if missing"))
    return comment("; ".join(parts))


def _struct(bundle: Bundle, prefix: str, shapes: Mapping[str, Shape]) -> str:
    specs = {spec.name: spec for spec in bundle.signature.inputs}
    lines, names = [], members(bundle)
    for tensor in bundle.signature.tensors:
        kind, shape = kind_of(tensor), shapes[tensor.name][1:]
        space = "" if kind.endswith("*") else " "
        if is_large(tensor):
            layout = "".join(f"[{n}]" for n in shape)
            lines.append(f"    /* {describe(specs[tensor.fields[0]])}; {layout}, contiguous */")
            lines.append(f"    const {kind} *{names[tensor.name]};")
        else:
            count = int(np.prod(shape, dtype=np.int64))
            lines.append(f"    {kind}{space}{names[tensor.name]}[{count}];")
    return "\n".join([f"typedef struct {prefix}_input {{", *lines, f"}} {prefix}_input;"])


def _outputs(bundle: Bundle, up: str, prefix: str, size: int) -> str:
    output, task = bundle.task.output(), bundle.task
    layout = "".join(f"[{n}]" for n in output.shape[1:])
    lines = [
        f"/* {comment(output.name)}, {layout or 'one number'}. */",
        f"#define {up}_SCORES {size}",
    ]
    classes = getattr(task, "classes", ())
    for at, label in enumerate(classes):
        lines.append(f"/* scores[{at}]: {comment(label)} */")
    if getattr(task, "threshold", None) is not None:
        text = literal(getattr(task, "threshold"), "float")  # noqa: B009
        lines.append("/* The second class is answered from this score on. */")
        lines.append(f"#define {up}_THRESHOLD {text}")
    if getattr(task, "unit", ""):
        lines.append(f"/* Unit: {comment(getattr(task, 'unit'))}. */")  # noqa: B009
    return "\n".join(lines)


def self_test(bundle: Bundle, prefix: str, examples: Sequence[Mapping[str, Array]]) -> str:
    """Return a ``main`` that runs the examples and compares with the scores expected."""
    if not examples:
        return ""
    largest = 1.0 if bundle.task.bounded else max(abs(e["expected"]).max() for e in examples)
    tolerance = TOLERANCE * max(1.0, float(largest))
    up, names = prefix.upper(), members(bundle)
    out = [f"#ifdef {up}_SELF_TEST", "#include <stdio.h>", ""]
    calls = []
    for number, example in enumerate(examples):
        fields = []
        for tensor in bundle.signature.tensors:
            content, kind = example[tensor.name], kind_of(tensor)
            items = ", ".join(literal(v, kind) for v in content.ravel().tolist())
            name = f"test_{number}_{names[tensor.name]}"
            if is_large(tensor):
                out.append(f"static const {kind} {name}[] = {{{_folded(items)}}};")
                fields.append(f".{names[tensor.name]} = {name}")
            else:
                fields.append(f".{names[tensor.name]} = {{{_folded(items)}}}")
        expected = ", ".join(literal(v, "float") for v in example["expected"].ravel().tolist())
        inputs = ", ".join(fields)
        out.append(f"static const {prefix}_input test_{number} = {{{inputs}}};")
        out.append(f"static const float expected_{number}[] = {{{_folded(expected)}}};")
        calls.append(f"    worst = fmaxf(worst, difference(&test_{number}, expected_{number}));")
    out.append(
        f"""
static float difference(const {prefix}_input *input, const float *expected)
{{
    static float scores[{up}_SCORES];
    float worst = 0.0f;
    {prefix}_predict(input, scores);
    for (int32_t i = 0; i < {up}_SCORES; ++i)
        if (!(fabsf(scores[i] - expected[i]) <= worst))
            worst = fabsf(scores[i] - expected[i]);
    return worst;
}}

int main(void)
{{
    float worst = 0.0f;
"""
    )
    out += calls
    out.append(f'    printf("{len(examples)} examples, largest difference %g\\n", (double)worst);')
    out.append(f"    return worst <= {literal(tolerance, 'float')} ? 0 : 1;\n}}\n#endif\n")
    return "\n".join(out)


def _folded(items: str) -> str:
    """Break a long list into lines."""
    lines, line = [], ""
    for item in items.split(", "):
        if len(line) + len(item) > 90:
            lines.append(line)
            line = ""
        line += item + ", "
    return "\n    ".join([*lines, line]).rstrip(", ")
