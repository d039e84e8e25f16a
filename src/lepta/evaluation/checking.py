"""Check data before training: what was read, what is wrong, and whether it has shortcuts."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import Any

from lepta.core.errors import LeptaError
from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.data import Dataset, Issue
from lepta.evaluation.audit import ShortcutReport, audit_shortcuts

WIDTH = 100
_FIELDS = 24


@dataclass(frozen=True)
class CheckReport:
    """What :func:`check` found.

    Attributes:
        name: name of the dataset.
        rows: number of rows.
        schema: what each field is taken for, and why.
        splits: rows of each named split.
        target: what is to be predicted, in words; empty without a target.
        issues: findings, errors first.
        shortcuts: the shortcut audit; None without a target to predict.
    """

    name: str
    rows: int
    schema: Schema
    splits: dict[str, int]
    target: str
    issues: tuple[Issue, ...]
    shortcuts: ShortcutReport | None

    @property
    def ok(self) -> bool:
        """Whether nothing stops a fit. Warnings, a shortcut among them, do not."""
        return not any(issue.severity == "error" for issue in self.issues)

    @property
    def flagged(self) -> bool:
        """Whether the data has a shortcut."""
        return self.shortcuts is not None and self.shortcuts.flagged

    def summary(self) -> str:
        """Return the findings that deserve a look, in a few lines."""
        counts = Counter(issue.severity for issue in self.issues)
        lines = [
            f"{self.name}: {self.rows:,} rows, {len(self.schema)} fields; {counts['error']} "
            f"error(s), {counts['warning']} warning(s)"
        ]
        for issue in self.issues:
            if issue.severity != "info":
                lines += _wrap(f"{issue.severity}: ", issue.text)
        if self.shortcuts is not None:
            lines += _wrap("", f"shortcut audit: {self.shortcuts.verdict}")
        return "\n".join(lines)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.rows:,} rows, {len(self.schema)} fields"]
        if self.target:
            lines.append(f"target: {self.target}")
        if self.splits:
            splits = ", ".join(f"{name} {count:,}" for name, count in self.splits.items())
            lines.append(f"splits: {splits}")
        lines += ["", *_fields(self.schema), "", *_issues(self.issues)]
        if self.shortcuts is not None:
            lines += ["", "Shortcut audit: can metadata alone, without any content, predict?"]
            lines += [
                wrapped
                for line in str(self.shortcuts).splitlines()
                for wrapped in (_wrap("  ", line) if len(line) > WIDTH else [f"  {line}".rstrip()])
            ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON-able mapping."""
        return {
            "name": self.name,
            "rows": self.rows,
            "ok": self.ok,
            "flagged": self.flagged,
            "target": self.target,
            "splits": self.splits,
            "schema": self.schema.model_dump(mode="json")["fields"],
            "issues": [issue.to_json() for issue in self.issues],
            "shortcuts": None if self.shortcuts is None else self.shortcuts.to_dict(),
        }


def check(data: Dataset, context: Context | None = None) -> CheckReport:
    """Look for what is wrong with data, and for shortcuts through its metadata.

    Args:
        data: the dataset; the shortcut audit needs a target.
        context: seed, threads, progress.

    Raises:
        MissingExtraError: the shortcut audit needs scikit-learn, which is not installed.
    """
    from lepta.data import validate

    context = context or Context()
    issues = list(validate(data, context))
    shortcuts, target = None, ""
    if data.target is not None:
        try:
            target = _target(data)
            if data.task.one_answer:
                shortcuts = audit_shortcuts(data, context=context)
        except LeptaError as error:
            if error.code not in ("data", "schema"):
                raise
            if not any(i.severity == "error" and i.where == data.target for i in issues):
                issues.insert(0, _stopped(data, error))
    return CheckReport(
        name=data.name,
        rows=len(data),
        schema=data.schema,
        splits={name: len(rows) for name, rows in data.splits.items()},
        target=target,
        issues=tuple(issues),
        shortcuts=shortcuts,
    )


def _target(data: Dataset) -> str:
    task = data.task
    classes = tuple(getattr(task, "classes", ())) if task.is_classification else ()
    if len(classes) == 2:
        return f"{task.target}, {classes[1]!r} (positive) or {classes[0]!r}"
    if classes:
        shown = ", ".join(map(repr, classes[:8])) + (", …" if len(classes) > 8 else "")
        return f"{task.target}, one of {len(classes)} classes: {shown}"
    return f"{task.target}, {task.describe()}"


def _stopped(data: Dataset, error: LeptaError) -> Issue:
    return Issue("target", "error", error.what, data.target or "", error.fix or "")


def _fields(schema: Schema) -> list[str]:
    shown = list(schema)[:_FIELDS]
    name = min(32, max((len(field.name) for field in shown), default=5))
    lines = []
    for field in shown:
        lead = f"  {field.name[:name]:<{name}}  {field.kind.value:<9} {field.role.value:<7} "
        lines += _wrap(lead, field.reason)
    if len(schema) > _FIELDS:
        lines.append(f"  and {len(schema) - _FIELDS} fields more")
    return lines


def _issues(issues: tuple[Issue, ...]) -> list[str]:
    if not issues:
        return ["Nothing wrong was found."]
    lines = []
    for issue in issues:
        lines += _wrap(f"  {issue.severity:<8} ", issue.text)
        if issue.rows and issue.severity != "info":
            lines += _wrap(" " * 11, f"rows: {', '.join(map(str, issue.rows))}")
        if issue.fix and issue.severity != "info":
            lines += _wrap(" " * 11, f"fix: {issue.fix}")
    return lines


def _wrap(lead: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_long_words=False
    ) or [lead]
