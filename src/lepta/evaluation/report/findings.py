"""What the checks of the data found, as a part of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lepta.evaluation.report.markup import Markup

if TYPE_CHECKING:
    from lepta.evaluation.checking import CheckReport


def findings(checks: CheckReport) -> Markup:
    """Return the section on the data, empty when nothing was found."""
    return Markup("")
