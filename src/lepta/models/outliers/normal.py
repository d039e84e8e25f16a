"""Normal training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lepta.core.errors import DataError, Where
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

TASKS = frozenset({"anomaly"})
"""Names of the tasks that are learned from normal rows."""
_FEWEST = 8


def normal_rows(train: Dataset, task: Task) -> Dataset:
    """Return the rows whose target is the first class.

    Raises:
        DataError: there are too few of them.
    """
    normal = train.keep(train.targets(task) == 0)
    if len(normal) < _FEWEST:
        raise DataError(
            f"{len(normal)} training row(s) are normal; at least {_FEWEST} are needed.",
            where=Where(field=task.target),
            fix="Gather normal rows, or name the anomalous label with positive=.",
        )
    return normal
