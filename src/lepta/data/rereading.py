"""Reading new rows for a model as the rows that it was trained on were read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lepta.core.errors import ConfigError
from lepta.core.events import Context
from lepta.core.schema import Kind, Role
from lepta.data.histories import HISTORY, RECOMMENDATION, latest_histories
from lepta.data.options import ReadOptions
from lepta.data.windows import START

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lepta.bundle import Bundle
    from lepta.bundle.manifest import Manifest
    from lepta.runtime import Predictor

_KEPT = ("time_field", "kinds", "roles", "formats", "window", "task_options")
"""Options that tell how a table becomes windows."""
_EVENTS = ("time_field", "kinds", "roles", "formats", "group", "task_options")
"""Options that tell how a table of events becomes histories."""


def reading_of(manifest: Manifest, *, measured: bool = False) -> dict[str, Any]:
    """Return the options of ``Dataset.read`` that read new rows as the training rows were read.

    What a column holds is not guessed again: a file of other rows might be guessed otherwise. For
    a model of windows the rows are those of the table that the windows are made of. Rows to be
    ``measured`` also need the groups within which a ranking is judged.
    """
    recorded = (manifest.lineage.config.get("read") or {}).get("options", {})
    window = recorded.get("window") or {}
    if window.get("length") or window.get("horizon"):
        found = {name: recorded[name] for name in _KEPT if recorded.get(name)}
        numbers = (*window.get("past", ()), *window.get("known", ()), *window.get("also", ()))
        return found | {"kinds": {**dict.fromkeys(numbers, Kind.NUMBER), **found.get("kinds", {})}}
    if recorded.get("task") == RECOMMENDATION and recorded.get("group"):
        return {name: recorded[name] for name in _EVENTS if recorded.get(name)}
    inputs = manifest.signature.inputs
    groups = measured and manifest.task.by_group and recorded.get("group")
    return {
        **({"group": groups} if groups else {}),
        "kinds": {spec.name: spec.kind for spec in inputs},
        "roles": dict.fromkeys((spec.name for spec in inputs), Role.INPUT),
        "formats": {
            spec.name: spec.options["format"]
            for spec in inputs
            if spec.kind == Kind.DATETIME and "format" in spec.options
        },
    }


def recommend(
    model: Predictor | Bundle | Path | str, events: Any, *, context: Context | None = None
) -> dict[str, NDArray[Any]]:
    """Recommend what comes next to each user of a table of events.

    Args:
        model: a bundle of the task "recommendation" that was trained on such a table, its path, or
            a predictor.
        events: anything that ``Dataset.read`` takes, with the fields of user, item and time that
            the model was trained on; or rows with a field ``history``, a list of items each.
            Items that the model does not know are passed over.
        context: progress.

    Returns:
        Columns of equal length, one row a user and recommended item: the user (``row``, from 1,
        where histories were given), ``rank`` from 1, ``prediction`` (the item) and ``score``.

    Raises:
        ConfigError: the model does not recommend, or was not trained on a table of events.
        SchemaError: a field is missing.
    """
    from lepta.data.dataset import Dataset
    from lepta.data.sources import read_source
    from lepta.runtime import Predictor

    predictor = model if isinstance(model, Predictor) else Predictor(model)
    task, options = predictor.task, reading_of(predictor.manifest)
    if task.name != RECOMMENDATION or "group" not in options:
        raise ConfigError(
            f"The model {predictor.manifest.name!r} was not trained on a table of events.",
            fix="Train one: lepta.fit(table, task='recommendation', target=..., group=...).",
        )
    context = context or Context()
    if HISTORY in read_source(events, ReadOptions(), context).table.column_names:
        known = {"kinds": {HISTORY: Kind.SEQUENCE}, "roles": {HISTORY: Role.INPUT}}
        rows = Dataset.read(events, context=context, **known)
        users, name = rows.row_numbers.astype(object), "row"
    else:
        options.pop("task_options", None)
        options["kinds"] = {**options.get("kinds", {}), task.target: Kind.ID}
        seen = Dataset.read(events, target=task.target, context=context, **options)
        rows, name = latest_histories(seen), options["group"]
        users = np.array(rows.column(name), object)
    lists = task.columns(predictor.scores(rows.inputs()))["prediction"]
    lengths = [len(found) for found in lists]
    flat = [pair for found in lists for pair in found]
    return {
        name: np.repeat(users, lengths),
        "rank": np.concatenate([np.arange(1, length + 1) for length in lengths]),
        "prediction": np.array([pair["item"] for pair in flat], object),
        "score": np.array([pair["score"] for pair in flat], np.float64),
    }


def forecast(
    model: Predictor | Bundle | Path | str, history: Any, *, context: Context | None = None
) -> dict[str, NDArray[Any]]:
    """Forecast what follows each series of a table.

    Args:
        model: a bundle of the task "forecasting", its path, or a predictor.
        history: anything that ``Dataset.read`` takes, with the columns that the model was trained
            on. A series goes on after its last row that has a target; rows below it give what is
            known ahead, where the model needs that.
        context: progress.

    Returns:
        Columns of equal length, one row a series, step and forecast field: the series where there
        are several, ``step`` from 1, ``start`` of the forecast where rows have a time, ``field``,
        ``prediction`` and one column a quantile, such as ``quantile[0.9]``.

    Raises:
        ConfigError: the model does not forecast, or was trained on windows made by hand.
        DataError: what is known ahead is missing.
    """
    from lepta.data.dataset import Dataset
    from lepta.data.latest import latest
    from lepta.runtime import Predictor
    from lepta.tasks.forecasting import Forecasting

    predictor = model if isinstance(model, Predictor) else Predictor(model)
    task, options = predictor.task, reading_of(predictor.manifest)
    if not isinstance(task, Forecasting) or "window" not in options:
        raise ConfigError(
            f"The model {predictor.manifest.name!r} was not trained to forecast a table.",
            fix="Train one: lepta.fit(table, target=..., window={'length': 48, 'horizon': 24}).",
        )
    window = ReadOptions.parse({"window": options.pop("window")}).window
    kinds = {**dict.fromkeys(task.fields, Kind.NUMBER), **options.pop("kinds", {})}
    options.pop("task_options", None)
    seen = Dataset.read(history, target=task.target, kinds=kinds, context=context, **options)
    rows = latest(seen, window)
    scores = predictor.scores(rows.inputs())
    horizon, count, _ = task.shape
    table: dict[str, NDArray[Any]] = {}
    for name in (window.by, START):
        if name is not None and name in rows.schema:
            table[name] = np.repeat(np.array(rows.column(name), object), horizon * count)
    table["step"] = np.tile(np.repeat(np.arange(1, horizon + 1), count), len(rows))
    table["field"] = np.tile(np.array(task.fields, object), len(rows) * horizon)
    table["prediction"] = task.decide(scores).ravel()
    for place, level in enumerate(task.quantiles):
        table[f"quantile[{level:g}]"] = scores[..., place].ravel()
    return table
