"""Literals, arrays and names of C."""

from __future__ import annotations

import keyword
import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ExportError

TYPES = {
    "float32": "float",
    "float64": "double",
    "bool": "uint8_t",
    "uint8": "uint8_t",
    "int8": "int8_t",
    "uint16": "uint16_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int32_t",
    "object": "const char *",
}
"""Type in C of an array's values. Whole numbers of 64 bits are codes, which 32 bits hold."""
SIZES = {
    "float": 4,
    "double": 8,
    "uint8_t": 1,
    "int8_t": 1,
    "uint16_t": 2,
    "int16_t": 2,
    "int32_t": 4,
    "const char *": 4,
}
"""Bytes of a value; of a pointer, on a machine of 32 bits."""
_WORDS = frozenset(
    word
    for line in (
        "auto break case char const continue default do double else enum extern float for goto if",
        "inline int long register restrict return short signed sizeof static struct switch",
        "typedef union unsigned void volatile while main",
    )
    for word in line.split()
)
_LINE = 96


def ctype(dtype: str) -> str:
    """Return the type in C of values of a NumPy type.

    Raises:
        ExportError: there is none.
    """
    if dtype not in TYPES:
        raise ExportError(
            f"The graph computes with values of type {dtype}, which the C export does not know.",
            fix="Export to ort, openvino or litert, or train a model that computes in float32.",
        )
    return TYPES[dtype]


def identifier(text: str) -> str:
    """Return ``text`` as a name that C takes, in lower case."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "model"
    if name[0].isdigit() or name in _WORDS or keyword.iskeyword(name):
        name = f"m_{name}"
    return name


def quoted(text: str) -> str:
    """Return a string literal of the UTF-8 bytes of ``text``."""
    plain = {ord(" "), *range(0x23, 0x3F), *range(0x40, 0x5C), *range(0x5D, 0x7F), 0x21}
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'


def literal(value: Any, kind: str) -> str:
    """Return a constant of the C type ``kind``.

    Raises:
        ExportError: a whole number does not fit.
    """
    if kind == "const char *":
        return quoted(str(value))
    if kind in ("float", "double"):
        return _real(float(value), kind)
    number = int(value)
    if not -(2**31) <= number < 2**31:
        raise ExportError(
            f"The graph holds the whole number {number}, which does not fit in 32 bits.",
            fix="Export to ort, openvino or litert.",
        )
    return "(-2147483647 - 1)" if number == -(2**31) else str(number)


def _real(value: float, kind: str) -> str:
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = f"{value:.9g}" if kind == "float" else repr(value)
    if "e" not in text and "." not in text:
        text += ".0"
    return text + ("f" if kind == "float" else "")


def array(name: str, values: NDArray[Any], kind: str) -> str:
    """Return the definition of a constant array."""
    space = "" if kind.endswith("*") else " "
    lines = [f"static {kind}{space}const {name}[{values.size}] = {{"]
    if not kind.endswith("*"):
        lines = [f"static const {kind} {name}[{values.size}] = {{"]
    line = "   "
    for value in values.ravel().tolist():
        item = f" {literal(value, kind)},"
        if len(line) + len(item) > _LINE:
            lines.append(line)
            line = "   "
        line += item
    return "\n".join([*lines, line, "};"])


def smallest(values: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in the narrowest type of C that holds them all."""
    for dtype in ("uint8", "int8", "uint16", "int16"):
        info = np.iinfo(dtype)
        if not values.size or (values.min() >= info.min and values.max() <= info.max):
            return values.astype(dtype)
    return values.astype(np.int32)
