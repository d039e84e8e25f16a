"""Tell what this machine offers and what is missing, with the command that adds it.

Examples:
  lepta doctor
  lepta doctor --json
"""

from __future__ import annotations

from dataclasses import asdict

from pydantic import Field as Option

from lepta.app.output import show, show_json
from lepta.core.config import Config
from lepta.core.events import Context


class Options(Config):
    """Options of ``lepta doctor``."""

    json_: bool = Option(default=False, alias="json", description="Print JSON.")


def run(options: Options, context: Context) -> int:
    """Print the report; the status is 1 when something is wrong."""
    from lepta.engine import doctor

    report = doctor()
    if options.json_:
        show_json([asdict(finding) for finding in report.findings])
    else:
        show(str(report))
    return 0 if report.healthy else 1
