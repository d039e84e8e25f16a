"""What a run is, and what the benchmark asks of a system."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDS = 8


@dataclass(frozen=True)
class Job:
    """One run: the files of a table, the budget in seconds, and where the model goes."""

    train: str
    test: str
    target: str
    task: str
    group: str | None
    budget: float
    seed: int
    threads: int
    model: str

    def frame(self, path: str) -> tuple[Any, Any, Any]:
        """Read a file with pandas; return inputs, target and groups (or None)."""
        import pandas as pd

        table = pd.read_csv(path)
        groups = table.pop(self.group) if self.group else None
        return table, table.pop(self.target), groups

    def folds(self, groups: Any, count: int = FOLDS) -> Any:
        """Return a fold a row, groups whole."""
        import pandas as pd

        codes, names = pd.factorize(groups)
        return np.random.default_rng(self.seed).permutation(len(names))[codes] % count


class System:
    """What the benchmark asks of a system."""

    modules: tuple[str, ...] = ()
    """What is imported before the clock starts; the first one tells the version."""

    def fit(self, job: Job) -> dict[str, Any]:
        """Learn from the training file and leave a model in the folder; return notes."""
        raise NotImplementedError

    def load(self, job: Job) -> Any:
        """Return the model, ready to predict."""
        return pickle.loads((Path(job.model) / "model.pkl").read_bytes())

    def rows(self, model: Any, job: Job) -> Any:
        """Return the inputs of the test file as the system takes them."""
        return job.frame(job.test)[0]

    def row(self, rows: Any, number: int) -> Any:
        """Return one row as the system takes it."""
        return rows.iloc[[number]]

    def scores(self, model: Any, rows: Any) -> Any:
        """Return probabilities (rows, classes) or values (rows,)."""
        return model.predict_proba(rows) if hasattr(model, "classes_") else model.predict(rows)

    def classes(self, model: Any) -> list[Any]:
        """Return the class of each column of the scores; nothing for regression."""
        return list(getattr(model, "classes_", []))

    @staticmethod
    def keep(model: Any, job: Job) -> None:
        """Write a model as its makers advise: as a pickle."""
        Path(job.model).mkdir(parents=True, exist_ok=True)
        (Path(job.model) / "model.pkl").write_bytes(pickle.dumps(model))


def label(value: Any) -> str:
    """Return the text of a class, the same for 1, 1.0 and "1"."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return str(int(number)) if number == int(number) else str(number)
