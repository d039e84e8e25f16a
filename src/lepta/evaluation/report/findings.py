"""What the checks of the data found, as a part of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lepta.evaluation.report.markup import Markup, element, join, section, table

if TYPE_CHECKING:
    from lepta.evaluation.audit import ShortcutReport
    from lepta.evaluation.checking import CheckReport


def findings(checks: CheckReport) -> Markup:
    """Return the section on the data: shortcuts, errors and warnings."""
    parts = [] if checks.shortcuts is None else [_shortcuts(checks.shortcuts)]
    parts += [
        element(
            "div",
            element("b", issue.severity.capitalize()),
            element("p", issue.text),
            element("p", issue.fix, class_="fix") if issue.fix else "",
            class_="note alarm" if issue.severity == "error" else "note",
        )
        for issue in checks.issues
        if issue.severity != "info"
    ]
    if not parts:
        return Markup("")
    lead = "What a reader must know of the data before believing the figures."
    return section("The data", lead, *parts)


def _shortcuts(report: ShortcutReport) -> Markup:
    if not report.flagged:
        return element("p", report.verdict)
    alarm = element(
        "div",
        element("b", "The data has a shortcut"),
        element("p", report.verdict),
        class_="note alarm",
    )
    strengths = [s for s in (report.overall, *report.parts, *report.sources) if s is not None]
    rows = [
        (
            strength.name,
            f"{strength.value:.3f}",
            f"[{strength.low:.3f}, {strength.high:.3f}]"
            if strength.low is not None and strength.high is not None
            else "",
            "" if strength.on_test is None else f"{strength.on_test:.3f}",
        )
        for strength in strengths[:12]
    ]
    measure = strengths[0].measure if strengths else ""
    shown = table(
        ("Metadata, no content", measure, "95 % interval", "On the test split"),
        rows,
        ("wrap", "n", "n", "n"),
    )
    harmless = join(element("p", line, class_="fix") for line in report.storage)
    return join([alarm, shown, harmless])
