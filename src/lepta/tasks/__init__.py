"""Tasks: what is to be predicted, how targets are read and how scores become answers.

Adding a task is adding a module here and its name to :data:`TASKS` (or an entry point in the
group ``lepta.tasks``). A task names its objective and metrics; the rooms that train and
evaluate look those names up.
"""

from __future__ import annotations

from typing import Any

from lepta.core.errors import ConfigError
from lepta.core.registry import Registry
from lepta.tasks.base import OutputSpec, Task
from lepta.tasks.classification import Binary, Multiclass
from lepta.tasks.regression import Regression

TASKS = Registry(
    "lepta.tasks",
    "task",
    {
        "binary": "lepta.tasks.classification:Binary",
        "multiclass": "lepta.tasks.classification:Multiclass",
        "regression": "lepta.tasks.regression:Regression",
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


__all__ = [
    "TASKS",
    "Binary",
    "Multiclass",
    "OutputSpec",
    "Regression",
    "Task",
    "task_from_json",
]
