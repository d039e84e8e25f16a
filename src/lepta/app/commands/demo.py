"""Walk the whole road: data, check, fit, evaluate, serve, predict.

Without DATA, a small CT study is simulated (real DICOM files, no real patient). With DATA, the
same is done on your own labelled files.

Examples:
  lepta demo
  lepta demo path/to/labels.csv --target diagnosis --group patient_id
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field as Option

from lepta.app.output import show, table
from lepta.app.reading import read
from lepta.bundle import Bundle
from lepta.core.config import Seconds
from lepta.core.errors import ConfigError, Where
from lepta.core.events import Context
from lepta.core.schema import MEDIA
from lepta.data import Dataset
from lepta.data.names import names_target
from lepta.data.options import ReadOptions


class Options(ReadOptions):
    """Options of ``lepta demo``."""

    data: str | None = Option(
        default=None,
        description="Labelled data; simulated CT scans when left out.",
        json_schema_extra={"positional": True, "metavar": "DATA"},
    )
    folder: Path = Option(default=Path("demo"), description="Folder to work in.")
    budget: Seconds = Option(default=90.0, gt=0, description="Time to train, as 60s or 10m.")
    patients: int = Option(default=80, ge=12, description="Simulated patients.")
    seed: int = Option(default=0, ge=0, description="The one seed of all randomness.")


def run(options: Options, context: Context) -> int:
    """Walk the road and show each step."""
    context = replace(context, seed=options.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    data, name = _data(options, context)
    target = data.task.target
    _head("1. Data")
    show(f"{len(data)} rows, to predict {target!r}. `lepta check` tells more; in short:")
    _check(data, context)
    bundle, path = _fit(data, name, options, context)
    _serve(path, bundle, data, context)
    show(f"\nNext: lepta serve {path}   and open the page it names.")
    return 0


def _head(text: str) -> None:
    show(f"\n== {text} " + "=" * max(0, 66 - len(text)))


def _data(options: Options, context: Context) -> tuple[Dataset, str]:
    if options.data is not None:
        return _own_data(options.data, options, context), Path(options.data).resolve().parent.name
    from lepta.data.simulate import simulate_ct

    study = options.folder / "simulated-ct"
    labels = study / "labels.csv"
    if not labels.exists():
        labels = simulate_ct(study, patients=options.patients, seed=options.seed, context=context)
    show(f"A SIMULATED CT study, no real patient: {study}")
    return read(str(labels), options, context, target="lesion", group="patient_id"), "ct"


def _own_data(source: str, options: Options, context: Context) -> Dataset:
    """Read the user's data; where no target is given, take the one whose name says so."""
    data = read(source, options, context)
    if data.target is not None:
        return data
    names = [field.name for field in data.schema if field.kind not in MEDIA]
    found = [name for name in names if names_target(name)]
    if len(found) != 1:
        raise ConfigError(
            "Which field is to be predicted is not clear from the names"
            + (f": {', '.join(found)} are all likely." if found else "."),
            where=Where(file=source),
            fix=f"Name one with --target (with make: TARGET=...): {', '.join(names)}.",
        )
    show(f"No target was named; {found[0]!r} is taken (--target names another).")
    return read(source, options, context, target=found[0])


def _check(data: Dataset, context: Context) -> None:
    from lepta.evaluation import check

    report = check(data, context=context)
    show(report.summary())


def _fit(data: Dataset, name: str, options: Options, context: Context) -> tuple[Bundle, Path]:
    from lepta.app.commands.fit import leaderboard
    from lepta.core.files import write_text
    from lepta.evaluation.results import table_of
    from lepta.tuning import fit

    _head("2. Fit")
    bundle = fit(data, context=context, time=options.budget, seed=options.seed, name=name)
    path = bundle.save(options.folder / f"{name}.lepta")
    report = path.with_suffix(".report.html")
    write_text(report, bundle.read("report.html").decode())
    show(leaderboard(bundle.read("leaderboard.json"), bundle.task.metrics[0]))
    _head("3. Evaluate, on rows that training never saw")
    show("\n".join(table_of(bundle.manifest.metrics, 0.95)))
    show(f"\nmodel:  {path} ({path.stat().st_size / 1e6:.1f} MB)\nreport: {report}")
    return bundle, path


def _serve(path: Path, bundle: Bundle, data: Dataset, context: Context) -> None:
    from lepta.serving import connect, start
    from lepta.tuning import split_like

    test = split_like(data, bundle)["test"]
    chosen = test.take(np.linspace(0, len(test) - 1, min(6, len(test))).astype(int))
    _head("4. Serve, and ask over HTTP")
    with start(path, context=context) as service:
        show(f"service: {service.url}  (page: {service.url}/docs)")
        client = connect(service.url)
        rows = _ask(client, chosen, bundle)
        show(table(["row", f"true {bundle.task.target}", "prediction", "scores", "ms"], rows))
        status = service.stop()
    show(f"service stopped cleanly (exit status {status})")


def _ask(client: object, rows: Dataset, bundle: Bundle) -> list[list[str]]:
    media = [s.name for s in bundle.signature.inputs if s.kind in MEDIA]
    columns = rows.inputs()
    truth = rows.column(bundle.task.target)
    answers = []
    for number in range(len(rows)):
        row = {name: values[number] for name, values in columns.items()}
        row |= {name: row[name]() for name in media}
        began = time.perf_counter()
        predictions = client.predict([row])  # type: ignore[attr-defined]
        spent = 1000 * (time.perf_counter() - began)
        scores = " ".join(f"{value:.3f}" for value in predictions.scores[0][:5])
        label = rows.column(media[0])[number] if media else str(number + 1)
        answer = predictions.prediction[0]
        shown = f"{answer:.4g}" if isinstance(answer, float) else str(answer)
        answers.append([str(label), str(truth[number]), shown, scores, f"{spent:.1f}"])
    return answers
