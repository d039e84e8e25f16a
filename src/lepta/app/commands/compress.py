"""Make a model smaller and faster, losing no more of a metric than is allowed.

Many chains of steps are tried. What each loses is measured on rows that the model has not learned
from, with a confidence bound, and the best that keeps the promise is written. Give the data that
the model was fitted on: they are read and split as they were then.

Examples:
  lepta compress ct.lepta ct/labels.csv -o small.lepta
  lepta compress ct.lepta ct/labels.csv --target int8 --max-drop 0.005 -o small.lepta
  lepta compress ct.lepta ct/labels.csv --size 900kB --time 10m --metric auroc -o small.lepta
  lepta compress ct.lepta ct/labels.csv --provider openvino --latency 0.5 -o small.lepta
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field as Option

from lepta.app.output import show, table
from lepta.app.reading import DATA
from lepta.compression.options import STEPS, CompressOptions
from lepta.core.events import Context
from lepta.data.options import ReadOptions

_WIDTH = 60


class Options(CompressOptions, ReadOptions):
    """Options of ``lepta compress``."""

    target: str = STEPS
    bundle: str = Option(
        description="Bundle to compress: NAME.lepta.",
        json_schema_extra={"positional": True, "metavar": "NAME.lepta"},
    )
    data: str = DATA
    out: Path = Option(
        default=Path("small.lepta"),
        description="Bundle to write.",
        json_schema_extra={"short": "-o", "metavar": "NAME.lepta"},
    )


def run(options: Options, context: Context) -> int:
    """Compress, show what was tried, and write."""
    from lepta.compression import compress
    from lepta.core.files import write_text
    from lepta.evaluation.results import table_of

    options.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    own = {"bundle", "data", "out"}
    given = {name: getattr(options, name) for name in sorted(options.model_fields_set - own)}
    made = compress(options.bundle, options.data, context=context, **given)
    made.save(options.out)
    if "compression.json" in made.names:
        show(front(made.read("compression.json")))
    metrics = made.manifest.metrics
    if metrics:
        figures = "\n".join(table_of(metrics, 0.95))
        show(f"\nOn the rows of the split {metrics[0].split!r}:\n{figures}\n")
    show(f"model:  {options.out}")
    if "report.html" in made.names:
        report = options.out.with_suffix(".report.html")
        write_text(report, made.read("report.html").decode())
        show(f"report: {report}")
    return 0


def front(document: bytes) -> str:
    """Return what was tried as a table."""
    import json

    found = json.loads(document)
    rows = [_row(entry, found["chosen"]) for entry in found["tried"]]
    head = ["steps", "ms a row", "kB", f"loses at most ({found['metric']})", ""]
    return table(head, rows)


def _row(entry: dict[str, object], chosen: str) -> list[str]:
    label = str(entry["steps"])
    name = label if len(label) <= _WIDTH else f"{label[: _WIDTH - 3]}..."
    note = "<- chosen" if label == chosen else str(entry.get("why not", ""))
    if "bytes" not in entry:
        return [name, "", "", "", note]
    verdict = entry.get("confirmed") or entry.get("search")
    bound = verdict["bound"] if isinstance(verdict, dict) else None
    lost = "nothing" if entry["same answers"] else "all" if bound is None else f"{bound:.3g}"
    milliseconds, size = entry["milliseconds"], entry["bytes"]
    return [name, f"{milliseconds:.3g}", f"{float(str(size)) / 1000:.0f}", lost, note]
