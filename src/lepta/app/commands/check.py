"""Tell on one page what was read from data, what is wrong with it, and whether it has shortcuts.

The shortcut audit fits a model that sees no content, only metadata (sizes, formats, tags, paths,
order). Where that model predicts the target, so may yours, for the wrong reason.

Examples:
  lepta check ct/labels.csv --target lesion --group patient_id
  lepta check parts/
  lepta check table.parquet --target churn --json

The exit status is 1 when there is an error that stops training.
"""

from __future__ import annotations

from pydantic import Field as Option

from lepta.app.output import show, show_json
from lepta.app.reading import DATA, read
from lepta.core.events import Context
from lepta.data.options import ReadOptions


class Options(ReadOptions):
    """Options of ``lepta check``."""

    data: str = DATA
    as_json: bool = Option(
        default=False, description="Print JSON.", json_schema_extra={"short": "--json"}
    )


def run(options: Options, context: Context) -> int:
    """Check and show."""
    from lepta.evaluation import check

    report = check(read(options.data, options, context), context=context)
    if options.as_json:
        show_json(report.to_dict())
    else:
        show(str(report))
    return 0 if report.ok else 1
