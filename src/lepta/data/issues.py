"""What is worth knowing, or wrong, about data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]
SHOWN = 10
"""Rows named by an issue, at most; its text gives the whole count."""


@dataclass(frozen=True)
class Issue:
    """One finding.

    Attributes:
        code: stable, machine-readable name of the kind of finding.
        severity: "error" stops a fit, "warning" deserves a look, "info" was dealt with.
        text: the finding in one sentence.
        where: name of the field concerned, or empty.
        fix: what the reader can do about it.
        rows: some of the rows concerned, counted from 1 (header not counted).
    """

    code: str
    severity: Severity
    text: str
    where: str = ""
    fix: str = ""
    rows: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON-able mapping."""
        return {**asdict(self), "rows": list(self.rows)}


def some(rows: Any) -> tuple[int, ...]:
    """Return the first few row positions (from 0) as row numbers (from 1)."""
    return tuple(int(row) + 1 for row in rows[:SHOWN])


def listed(items: Any, limit: int = 5) -> str:
    """Return "'a', 'b' and 3 more"."""
    values = list(items)
    text = ", ".join(repr(value) for value in values[:limit])
    return text if len(values) <= limit else f"{text} and {len(values) - limit} more"
