"""Measure a model on labelled data: every metric with its confidence interval.

Examples:
  lepta evaluate ct.lepta new_scans/labels.csv
  lepta evaluate ct.lepta labels.csv --split-name test --report report.html
  lepta evaluate churn.lepta march.parquet --json
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field as Option

from lepta.app.output import show, show_json
from lepta.app.reading import DATA, read
from lepta.core.errors import DataError, suggest
from lepta.core.events import Context
from lepta.data.options import ReadOptions


class Options(ReadOptions):
    """Options of ``lepta evaluate``."""

    bundle: str = Option(
        description="Bundle to measure: NAME.lepta.",
        json_schema_extra={"positional": True, "metavar": "NAME.lepta"},
    )
    data: str = DATA
    split_name: str = Option(default="", description="Measure only the rows of this split.")
    report: Path | None = Option(default=None, description="HTML report to write.")
    level: float = Option(default=0.95, gt=0, lt=1, description="Level of the intervals.")
    as_json: bool = Option(
        default=False, description="Print JSON.", json_schema_extra={"short": "--json"}
    )


def run(options: Options, context: Context) -> int:
    """Evaluate and show."""
    from lepta.data.rereading import reading_of
    from lepta.evaluation import evaluate
    from lepta.runtime import Predictor

    predictor = Predictor(options.bundle, threads=2)
    target = options.target or predictor.task.target
    task = predictor.task.name
    reading = reading_of(predictor.manifest, measured=True)
    if options.group is not None:
        reading["group"] = options.group
    data = read(options.data, options, context, target=target, task=task, **reading)
    if options.split_name:
        if options.split_name not in data.splits:
            raise DataError(
                f"There is no split {options.split_name!r}."
                f"{suggest(options.split_name, data.splits)}",
                fix="Name the column of splits with --split.",
            )
        data = data[options.split_name]
    evaluation = evaluate(predictor, data, level=options.level, context=context)
    if options.as_json:
        show_json(evaluation.to_dict())
    else:
        show(str(evaluation))
    if options.report is not None:
        evaluation.save(options.report)
        show(f"\nreport: {options.report}")
    return 0
