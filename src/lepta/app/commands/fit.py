"""Train the model that does best on unseen rows, and write it as one file.

Examples:
  lepta fit patients.csv --target readmitted -o readmission.lepta
  lepta fit ct/labels.csv --target lesion --group patient_id --time 5m -o ct.lepta
  lepta fit claims.csv --target fraud --time 5m --miss-cost 20  # a miss costs 20 false alarms
  lepta fit parts/ --learner transfer -o parts.lepta          # a folder of class folders
  lepta fit sales.parquet --target amount --time-field day --folds 5
  lepta fit offers.csv --task ranking --target grade --group search
  lepta fit ratings.csv --task recommendation --target film --group user --time-field when
  lepta fit --from ct.lepta -o again.lepta                    # the same run, bit for bit
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field as Option

from lepta.app.finishing import finish
from lepta.app.output import show, table
from lepta.app.reading import DATA, read
from lepta.core.errors import ConfigError
from lepta.core.events import Context
from lepta.data.options import ReadOptions
from lepta.store.trackers.base import Names
from lepta.tuning.options import FitOptions

if TYPE_CHECKING:
    from lepta.bundle import Bundle
    from lepta.data import Dataset
    from lepta.store import Tracked


_WIDTH = 60
"""Letters of a candidate's name and settings that are shown."""


class Options(FitOptions, ReadOptions):
    """Options of ``lepta fit``."""

    data: str | None = Option(
        default=None, description=DATA.description, json_schema_extra=DATA.json_schema_extra
    )
    from_: Path | None = Option(
        default=None,
        alias="from",
        description="Repeat the run that made this bundle; its data are read again, and checked.",
        json_schema_extra={"metavar": "NAME.lepta"},
    )
    out: Path = Option(
        default=Path("model.lepta"),
        description="Bundle to write.",
        json_schema_extra={"short": "-o", "metavar": "NAME.lepta"},
    )
    folds: int = Option(
        default=0, ge=0, description="Also cross-validate with this many folds; 0 for not."
    )
    name: str = Option(default="", description="Name of the model; that of the file by default.")
    track: Names = Option(
        default=("mlflow",),
        description="Where to keep the run, epoch by epoch: mlflow (the project's store), wandb, "
        "tensorboard, or several; none for nowhere.",
    )


def run(options: Options, context: Context) -> int:
    """Fit, report and save."""
    options.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    name = options.name or options.out.stem
    data = None if options.from_ else _read(options, name, context)
    with _tracking(options, name, context) as tracked:
        bundle = _fit(options, data, name, tracked.context)
        board = leaderboard(bundle.read("leaderboard.json"), bundle.task.metrics[0])
        finish(bundle, options.out, name, board, tracked)
    return 0


def _read(options: Options, name: str, context: Context) -> Dataset:
    """Read the data, and cross-validate where that is asked for."""
    from lepta.tuning import cross_validate

    if options.data is None:
        raise ConfigError("The argument DATA is missing.", fix=DATA.description)
    data = read(options.data, options, context)
    if options.folds:
        chosen = _chosen(options, name)
        show(f"{cross_validate(data, k=options.folds, context=context, **chosen)}\n")
    return data


def _chosen(options: Options, name: str) -> dict[str, Any]:
    return {key: getattr(options, key) for key in FitOptions.model_fields} | {"name": name}


def _fit(options: Options, data: Dataset | None, name: str, context: Context) -> Bundle:
    from lepta.tuning import fit

    if data is not None:
        return fit(data, context=context, **_chosen(options, name))
    own = {"data", "from_", "out", "name", "track"}
    given = {key: getattr(options, key) for key in sorted(options.model_fields_set - own)}
    bundle = fit(options.data, from_bundle=options.from_, context=context, **given)
    return bundle.with_manifest(name=options.name) if options.name else bundle


def leaderboard(document: bytes, metric: str) -> str:
    """Return the learners tried, the best first, as a table."""
    import json

    entries = [entry for entry in json.loads(document) if "score" in entry]
    if not any("weight" in entry for entry in entries):
        rows = [
            [entry["learner"], f"{entry['score']:.4f}", f"{entry['seconds']:.1f}"]
            for entry in entries
        ]
        return table(["learner", f"{metric} (valid)", "seconds"], rows)
    names = ["model, and what it is made of", f"{metric} (held out)", "95 % interval", "weight"]
    return table([*names, "folds", "seconds", "row ms", "kB"], [_row(entry) for entry in entries])


def _row(entry: dict[str, Any]) -> list[str]:
    """Return the figures of a candidate of a search."""
    from lepta.tuning.search.unit import settings_text

    settings = settings_text(entry.get("settings", {}))
    name = f"{entry['learner']} ({settings})" if settings else entry["learner"]
    interval = "" if entry.get("low") is None else f"{entry['low']:.4f} - {entry['high']:.4f}"
    return [
        name if len(name) <= _WIDTH else f"{name[: _WIDTH - 3]}...",
        f"{entry['score']:.4f}",
        interval,
        f"{entry['weight']:.2f}",
        str(entry.get("folds", "")),
        f"{entry['seconds']:.1f}",
        f"{entry['milliseconds']:.3f}" if "milliseconds" in entry else "",
        f"{entry['bytes'] / 1000:.0f}" if "bytes" in entry else "",
    ]


def _tracking(options: Options, name: str, context: Context) -> Tracked:
    """Begin the run; only trackers that were asked for may stop it."""
    from lepta.store import tracking
    from lepta.tuning.fitting import plan_of

    asked = "track" in options.model_fields_set
    names = options.track if asked or find_spec("mlflow") is not None else ()
    given = {key: getattr(options, key) for key in options.model_fields_set - {"from_"}}
    plan = plan_of(given | {"name": name}, name=options.out.stem)
    return tracking(names, plan, context=context, required=asked)
