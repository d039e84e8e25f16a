"""Writing results for people and for pipes; the only place that writes to standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def show(text: str) -> None:
    """Write ``text`` and a line end to standard output, whatever its encoding."""
    stream = sys.stdout
    try:
        stream.write(f"{text}\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(f"{text.encode(encoding, 'replace').decode(encoding)}\n")
    stream.flush()


def show_json(value: Any) -> None:
    """Write ``value`` as indented JSON to standard output."""
    show(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return ``rows`` under ``header`` as aligned text columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
