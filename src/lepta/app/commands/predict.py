"""Predict every row of a table, or files, and write one row of answers for each, in order.

The columns are prediction and, for classification, probability[CLASS] for every class. Masks are
written as PNG files in a folder beside the table, which names them. A model of events (task
recommendation) answers each user of a table with a list, one row an item.

Examples:
  lepta predict churn.lepta march.csv -o answers.csv
  lepta predict ct.lepta scan1.dcm                       # one file, answer on the screen
  lepta predict ct.lepta labels.csv -o answers.parquet
  lepta predict films.lepta ratings.csv                  # what each user may like next
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field as Option

from lepta.app.output import show
from lepta.app.reading import DATA
from lepta.bundle.manifest import InputSpec
from lepta.core.errors import ConfigError, missing_extra
from lepta.core.events import Context
from lepta.core.files import atomic_write, write_text
from lepta.core.schema import MEDIA
from lepta.data.options import ReadOptions

if TYPE_CHECKING:
    from lepta.runtime import Predictions, Predictor


class Options(ReadOptions):
    """Options of ``lepta predict``."""

    bundle: str = Option(
        description="Bundle to predict with: NAME.lepta.",
        json_schema_extra={"positional": True, "metavar": "NAME.lepta"},
    )
    data: str = DATA
    out: Path | None = Option(
        default=None,
        description="CSV or Parquet file to write; the screen by default.",
        json_schema_extra={"short": "-o", "metavar": "FILE"},
    )
    threads: int = Option(default=2, ge=1, description="Threads that decode and compute.")


def run(options: Options, context: Context) -> int:
    """Predict and write."""
    from lepta.runtime import Predictor

    if options.out is not None and options.out.suffix not in (".csv", ".parquet"):
        raise ConfigError(
            f"{options.out.name!r} is neither CSV nor Parquet.",
            fix="End the name in .csv or .parquet.",
        )
    predictor = Predictor(options.bundle, threads=options.threads)
    columns = _answers(predictor, options, context)
    if options.out is None:
        show(_to_csv(columns).rstrip())
    elif options.out.suffix == ".csv":
        write_text(options.out, _to_csv(columns))
    else:
        _write_parquet(columns, options.out)
    if options.out is not None:
        context.say(f"{len(columns['prediction'])} predictions written to {options.out}")
    return 0


def _answers(predictor: Predictor, options: Options, context: Context) -> dict[str, Any]:
    """Return the columns of answers for a file, a table, or the series of one."""
    from lepta.app.reading import read
    from lepta.data.rereading import forecast, reading_of, recommend

    if predictor.task.name == "forecasting":
        return forecast(predictor, options.data, context=context)
    if "group" in reading_of(predictor.manifest):
        return recommend(predictor, options.data, context=context)
    rows: Any = options.data
    if not _is_one_file(options.data, predictor.signature.inputs):
        rows = read(options.data, options, context, **reading_of(predictor.manifest)).inputs()
    predictions = predictor.predict(rows)
    pictures = {} if options.out is None else _write_pictures(predictions, options.out)
    return predictions.columns() | pictures


def _is_one_file(data: str, inputs: tuple[InputSpec, ...]) -> bool:
    tables = {".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".arrow", ".feather", ".zip"}
    path = Path(data)
    single = len(inputs) == 1 and inputs[0].kind in MEDIA
    return single and path.is_file() and path.suffix.lower() not in tables


def _write_pictures(predictions: Predictions, out: Path) -> dict[str, Any]:
    """Write answers that are maps into a folder beside ``out``; return the column of paths."""
    pictures = predictions.task.pictures(predictions.scores)
    if pictures is None:
        return {}
    folder = out.with_name(f"{out.stem}_masks")
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:06d}.png" for number in range(1, len(pictures) + 1)]
    for name, content in zip(names, pictures, strict=True):
        with atomic_write(folder / name) as stream:
            stream.write(content)
    return {"prediction": np.array([f"{folder.name}/{name}" for name in names], object)}


def _to_csv(columns: dict[str, Any]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_cells(values) for values in columns.values()), strict=True))
    return stream.getvalue()


def _cells(values: Any) -> list[Any]:
    """Return a column as CSV holds it: labels as a;b, as they may be read, the rest as JSON."""
    cells = values.tolist()
    parts = [part for value in cells if isinstance(value, list) for part in value]
    labels = all(isinstance(part, str) for part in parts)
    return [_cell(value, labels) for value in cells]


def _cell(value: Any, labels: bool) -> Any:
    if isinstance(value, list) and labels:
        return ";".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _write_parquet(columns: dict[str, Any], path: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise missing_extra("pyarrow", "data", "Writing Parquet") from error
    arrays = {name: values.tolist() for name, values in columns.items()}
    with atomic_write(path) as stream:
        pq.write_table(pa.table(arrays), stream)
