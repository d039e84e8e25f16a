"""Tasks: what is to be predicted, how targets are read and how scores become answers.

Adding a task is adding a folder here and its name to :data:`TASKS` (or an entry point in the
group ``lepta.tasks``). The folder holds all of the task: what it means (``__init__``, which a
device imports: NumPy only), how a network learns it, its own metrics and its plots (modules
that are imported when they are used).
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from lepta.core.errors import ConfigError, SchemaError, Where
from lepta.core.registry import Registry
from lepta.core.schema import Field
from lepta.tasks.anomaly import Anomaly
from lepta.tasks.base import OutputSpec, Task
from lepta.tasks.classification import Binary, Multiclass
from lepta.tasks.multilabel import Multilabel
from lepta.tasks.ordinal import Ordinal
from lepta.tasks.quantile import Quantile
from lepta.tasks.regression import Regression

TASKS = Registry(
    "lepta.tasks",
    "task",
    {
        "anomaly": "lepta.tasks.anomaly:Anomaly",
        "binary": "lepta.tasks.classification:Binary",
        "detection": "lepta.tasks.detection:Detection",
        "forecasting": "lepta.tasks.forecasting:Forecasting",
        "multiclass": "lepta.tasks.classification:Multiclass",
        "regression": "lepta.tasks.regression:Regression",
        "quantile": "lepta.tasks.quantile:Quantile",
        "multilabel": "lepta.tasks.multilabel:Multilabel",
        "ordinal": "lepta.tasks.ordinal:Ordinal",
        "ranking": "lepta.tasks.ranking:Ranking",
        "recommendation": "lepta.tasks.recommendation:Recommendation",
        "segmentation": "lepta.tasks.segmentation:Segmentation",
    },
)


def task_from_json(document: dict[str, Any]) -> Task:
    """Rebuild a task from ``task.model_dump(mode="json")``.

    Raises:
        ConfigError: the name is unknown or the fields do not validate.
    """
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        raise ConfigError("A task is an object with a 'name'.")
    kind: type[Task] = TASKS.get(document["name"])
    return kind.model_validate(document)


def task_for(field: Field, name: str = "", **options: Any) -> Task:
    """Return the task of predicting a field: the one called ``name``, or the one that suits it.

    Raises:
        ConfigError: there is no task of that name, or an option does not fit it.
        SchemaError: no task predicts such a field, or the one named does not.
        DataError: the target has fewer than two classes.
    """
    kind = _named(name) if name else _suited(field)
    try:
        return kind.of(field, **options)
    except ValidationError as error:
        detail = error.errors()[0]
        option = ".".join(str(part) for part in detail["loc"])
        raise ConfigError(
            f"Option {option!r} of the task {name or kind.__name__.lower()!r}: {detail['msg']}.",
            fix=f"Its options: {', '.join(sorted(set(kind.model_fields) - {'name', 'target'}))}.",
        ) from error


def _named(name: str) -> type[Task]:
    found: type[Task] = TASKS.get(name)
    return found


def _suited(field: Field) -> type[Task]:
    for name in TASKS.names():
        if _named(name).suits(field):
            return _named(name)
    raise SchemaError(
        f"A target of kind {field.kind.value!r} cannot be predicted.",
        where=Where(field=field.name),
        fix=f"Name another target, or a task: {', '.join(TASKS.names())}.",
    )


__all__ = [
    "TASKS",
    "Anomaly",
    "Binary",
    "Multiclass",
    "Multilabel",
    "Ordinal",
    "OutputSpec",
    "Quantile",
    "Regression",
    "Task",
    "task_for",
    "task_from_json",
]
