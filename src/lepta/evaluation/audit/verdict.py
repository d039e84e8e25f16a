"""The shortcut audit in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lepta.evaluation.audit.sources import FAMILIES

if TYPE_CHECKING:
    from lepta.evaluation.audit.shortcuts import ShortcutReport
    from lepta.evaluation.audit.strength import Strength

TOO_FEW = "Too few rows or groups of a class to tell whether metadata predicts the target."
_NOTHING_SEEN = (
    "Besides their content the rows carry no metadata that tells them apart; there is nothing to "
    "take a shortcut by."
)
_SHOWN = 6


def with_verdict(report: ShortcutReport) -> ShortcutReport:
    """Return the report with its verdict written."""
    return replace(report, verdict=" ".join(_sentences(report)))


def _sentences(report: ShortcutReport) -> list[str]:
    if report.overall is None:
        return [_NOTHING_SEEN, *_of_signs(report)]
    overall = report.overall
    if not report.flagged:
        return [
            f"No shortcut found: metadata alone predicts {report.target!r} with {overall} "
            f"(chance stays below {report.limit:.2f}).",
            *_of_signs(report),
        ]
    return [
        f"Without seeing any content, metadata alone predicts {report.target!r} with {overall} in "
        f"{report.folds}-fold cross-validation{_test_clause(report)}; chance would stay below "
        f"{report.limit:.2f}.",
        _strongest(report),
        f"A model trained here may learn how the files were made instead of {report.target!r}, "
        "and a test split of the same data cannot tell the difference.",
        *_of_signs(report),
    ]


def _test_clause(report: ShortcutReport) -> str:
    if report.overall is None or report.overall.on_test is None:
        return ""
    return f" and {report.overall.measure} {report.overall.on_test:.3f} on the given test split"


def _strongest(report: ShortcutReport) -> str:
    ranked = [*report.parts, *report.families, *report.sources]
    best = max(ranked, key=lambda strength: strength.value)
    on_test = "" if best.on_test is None else f" ({best.on_test:.3f} on the test split)"
    named = ", ".join(f"{s.name} ({s.value:.2f})" for s in report.sources[:3])
    text = f"Strongest: {best.name}, {best.measure} {best.value:.3f}{on_test}"
    return f"{text}; one by one: {named}." if named else f"{text}."


def _of_signs(report: ShortcutReport) -> list[str]:
    order, busy = FAMILIES["order"].label, FAMILIES["busyness"].label
    strong = [
        sign
        for sign in report.signs
        if sign.family != order and sign.value >= (0.8 if sign.measure == "AUC" else 0.3)
    ]
    sentences = [
        f"{sign.name} alone gives {sign.measure} {sign.value:.2f}, but where files are written "
        "alike that is content: busy pictures make large files."
        for sign in strong
        if sign.family == busy
    ]
    strong = [sign for sign in strong if sign.family != busy]
    if not strong:
        return sentences[:1]
    named = ", ".join(f"{sign.name} ({sign.value:.2f})" for sign in strong[:3])
    return [
        f"A model does not see these, but they tell that the classes were collected apart: {named}."
    ]


def text(report: ShortcutReport) -> str:
    """Return the report for a terminal."""
    head = "SHORTCUT" if report.flagged else "no shortcut"
    lines = [f"{head}: {report.verdict}"]
    for title, strengths in (
        ("together", [s for s in (report.overall, *report.parts) if s is not None]),
        ("by family", list(report.families)),
        ("one by one", list(report.sources)),
        ("signs, not seen by a model or part of the content", list(report.signs)),
    ):
        if strengths:
            lines += ["", f"  {title}", *_rows(strengths)]
    if report.storage:
        lines += ["", "  harmless", *(f"    {line}" for line in report.storage)]
    return "\n".join(lines)


def _rows(strengths: list[Strength]) -> list[str]:
    shown = strengths[:_SHOWN]
    width = max(len(strength.name) for strength in shown)
    lines = [
        f"    {strength.name:<{width}}  {strength}"
        + ("" if strength.on_test is None else f", on test {strength.on_test:.3f}")
        for strength in shown
    ]
    if len(strengths) > _SHOWN:
        lines.append(f"    and {len(strengths) - _SHOWN} more")
    return lines
