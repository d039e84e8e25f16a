"""Search the options of a learner for those that do best on unseen rows, and write the best model.

How to write what may be tried, once for each option (--space NAME=RANGE):
  --space 'loop.learning_rate=0.0003..0.03 log'   any number between, in factors
  --space loop.weight_decay=0..0.2                any number between
  --space 'rows=0.5..1.0 step 0.1'                numbers on a grid
  --space 'leaves=7..63 log'                      whole numbers between (both ends are whole)
  --space 'loop.batch=32|64|128'                  one of these
  --space learning_rate=default                   the learner's own range of this option
Without --space all ranges that the learner names are searched. In a file given with --config:
  tune:
    learner: mlp
    space:
      loop.learning_rate: {low: 0.0003, high: 0.03, log: true}
      loop.batch: [32, 64, 128]
Options that stay as they are: --settings KEY=VALUE. Of one's own model (--model), what its function
takes is arguments.NAME, and what a scikit-learn estimator takes parameters.NAME.

What happens: the first trial has the learner's own values, some look around at random, the others
follow what was seen (TPE). Networks that fall behind others after 1, 3, 9, ... epochs are given up.
Trials are judged on the split valid; the best model is then measured on test. With --folder the
same command goes on after a kill, and more --trials may be asked for later. Ctrl-C packs the best
so far. tuning.html, beside the model, shows the trials, which options mattered, and where good
trials lie.

Examples:
  lepta tune patients.csv --target readmitted --learner trees --time 5m -o readmission.lepta
  lepta tune digits.csv --target digit --learner mlp --trials 60 --folder study -o digits.lepta
  lepta tune parts/ --model nets.py:build --space 'arguments.channels=8..64 log'
  lepta tune patients.csv --target readmitted --model est.py:svc --space 'parameters.C=0.1..99 log'
  lepta tune signs.csv --target sign --learner cnn --engine ray --address auto --workers 16
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field as Option

from lepta.app.finishing import finish
from lepta.app.output import table
from lepta.app.reading import DATA, read
from lepta.core.errors import ConfigError
from lepta.core.events import Context
from lepta.data.options import ReadOptions
from lepta.store.trackers.base import Names
from lepta.tuning.tune_options import TuneOptions

if TYPE_CHECKING:
    from lepta.bundle import Bundle
    from lepta.store import Tracked

_SHOWN = 5


class Options(TuneOptions, ReadOptions):
    """Options of ``lepta tune``."""

    data: str | None = Option(
        default=None, description=DATA.description, json_schema_extra=DATA.json_schema_extra
    )
    space: dict[str, Any] = Option(
        default_factory=dict,
        description="What may be tried, as shown below; all ranges that the learner names by "
        "default.",
        json_schema_extra={"metavar": "NAME=RANGE"},
    )
    out: Path = Option(
        default=Path("model.lepta"),
        description="Bundle to write.",
        json_schema_extra={"short": "-o", "metavar": "NAME.lepta"},
    )
    name: str = Option(default="", description="Name of the model; that of the file by default.")
    track: Names = Option(
        default=("mlflow",),
        description="Where to keep the study and each trial: mlflow (the project's store), wandb, "
        "tensorboard, or several; none for nowhere.",
    )


def run(options: Options, context: Context) -> int:
    """Tune, report and save."""
    options.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    name = options.name or options.out.stem
    with ExitStack() as stack:
        tracked, bundle = _tuned(options, name, context, stack)
        finish(bundle, options.out, name, trials(bundle.read("tuning.json")), tracked)
    return 0


def _tuned(
    options: Options, name: str, context: Context, stack: ExitStack
) -> tuple[Tracked, Bundle]:
    """Read the data and tune, with the trackers that were asked for; they stay open."""
    from lepta.store import tracking
    from lepta.tuning.fitting import plan_of
    from lepta.tuning.ledger import Ledger
    from lepta.tuning.tuner import Tuner

    if options.data is None:
        raise ConfigError("The argument DATA is missing.", fix=DATA.description)
    began = time.monotonic()
    chosen = options.model_copy(update={"name": name, "space": options.space or None})
    asked = "track" in options.model_fields_set
    names = options.track if asked or find_spec("mlflow") is not None else ()
    data = read(options.data, options, context)
    given = {key: getattr(options, key) for key in options.model_fields_set}
    plan = plan_of(given | {"name": name}, name=options.out.stem)
    tracked = stack.enter_context(tracking(names, plan, context=context, required=asked))
    ledger = stack.enter_context(Ledger(names, plan, context))
    return tracked, Tuner(data, chosen, tracked.context, began, ledger).bundle()


def trials(document: bytes) -> str:
    """Return the best trials, the best first, and what mattered, as text."""
    import json

    from lepta.tuning.study import brief

    found = json.loads(document)
    ended = [one for one in found["trials"] if one["state"] == "ended"]
    best = sorted(ended, key=lambda one: (one["loss"], one["number"]))[:_SHOWN]
    rows = [
        [
            str(one["number"]),
            f"{one['score']:.4g}",
            f"{one['seconds']:.1f}",
            ", ".join(f"{key}={brief(value)}" for key, value in one["params"].items()),
        ]
        for one in best
    ]
    lines = [table(["trial", "score (valid)", "seconds", "options"], rows)]
    if found["importances"]:
        told = ", ".join(f"{key} {share:.0%}" for key, share in found["importances"].items())
        lines.append(f"\nWhat mattered: {told}")
    return "\n".join(lines)
