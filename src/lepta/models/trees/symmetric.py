"""CatBoost's symmetric trees: one question a level (Prokhorenkova et al. 2018, arXiv:1706.09516).

Categories become numbers before (:mod:`lepta.models.trees.encoding`), so that CatBoost sees
numbers only and the graph needs none of its own statistics.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context, Stage
from lepta.core.space import Range
from lepta.models.front import Front
from lepta.models.learner import ANSWERS, center_and_scale
from lepta.models.trees.encoding import Encoding
from lepta.models.trees.fitted import Grown, Rows, TreeLearner, advance
from lepta.models.trees.reading import read_catboost
from lepta.models.trees.total import TreeSum
from lepta.tasks import Task

_LOSSES = {"binary": "Logloss", "multiclass": "MultiClass", "regression": "RMSE"}


@dataclass(frozen=True, eq=False)
class Symmetric(Grown):
    """A model of CatBoost.

    Attributes:
        model: the library's own.
        encoding: what makes its columns.
        center, scale: of a target that is a number, which is learned standardised.
    """

    model: Any
    encoding: Encoding
    center: float
    scale: float

    @property
    def rounds(self) -> tuple[int, ...]:
        return (int(self.model.tree_count_),)

    def raw(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        scores = self.model.predict(self.encoding.run(x), prediction_type="RawFormulaVal")
        return np.asarray(scores, np.float64).reshape(len(x), -1) * self.scale + self.center

    def total(self) -> TreeSum:
        ensemble, bias, vectors = read_catboost(json.loads(self._saved()))
        restored = self.encoding.restored(ensemble)
        plain = TreeSum(restored, bias, self.columns, vectors, self.encoding.lookups)
        return plain.scaled(self.scale).shifted(self.center)

    @property
    def size(self) -> int:
        values = self.model.get_leaf_values()
        leaves = max(1, int(self.model.get_tree_leaf_counts().sum()))
        return int((values.reshape(leaves, -1) != 0).any(axis=1).sum())  # others are pruned

    def files(self) -> dict[str, bytes]:
        return {"catboost.json": self._saved(), **self.encoding.files()}

    def recipe(self) -> dict[str, Any]:
        return {"learner": self.learner.label, "center": self.center, "scale": self.scale}

    def _saved(self) -> bytes:
        """Return the model as the JSON of CatBoost, which writes to paths only."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            self.model.save_model(str(path), format="json")
            return path.read_bytes()


@dataclass(frozen=True)
class CatBoost(TreeLearner):
    """Gradient-boosted symmetric trees, which overfit late and answer fast.

    Attributes:
        rounds: boosting rounds at the most.
        patience: rounds without a better validation loss after which to stop.
        depth: questions a tree asks; it has 2 to this power leaves.
        learning_rate, l2: as in CatBoost.
        noise: how much chance there is in the choice of questions (``random_strength``).
        columns: share of the columns that a question may choose from (``rsm``).
        few: a category of at most so many values becomes one column a value.
    """

    rounds: int = 1000
    patience: int = 40
    depth: Annotated[int, Range(3, 8)] = 4
    learning_rate: Annotated[float, Range(0.02, 0.3, log=True)] = 0.12
    l2: Annotated[float, Range(0.5, 20.0, log=True)] = 3.0
    noise: Annotated[float, Range(0.0, 3.0)] = 1.0
    columns: Annotated[float, Range(0.3, 1.0)] = 1.0
    few: Annotated[int, Range(2, 20)] = 6

    tasks: ClassVar[frozenset[str]] = ANSWERS
    label: ClassVar[str] = "catboost"

    def learn(
        self,
        front: Front,
        task: Task,
        train: Rows,
        valid: Rows | None,
        rounds: tuple[float, ...] | None,
        context: Context,
    ) -> Symmetric:
        try:
            from catboost import CatBoost as Model
            from catboost import Pool
        except ModuleNotFoundError as error:
            raise missing_extra("catboost", "automl", "A model of CatBoost") from error
        center, scale = (0.0, 1.0) if task.is_classification else center_and_scale(train.y)
        encoding, x = Encoding.fit(front, task, train, self.few, context.seed)

        def pool(x: NDArray[np.float32], rows: Rows) -> Any:
            y = rows.y if task.is_classification else (rows.y - center) / scale
            return Pool(x, label=y, weight=rows.weights)

        watch = None
        if valid is not None and len(valid.y):
            watch = pool(encoding.run(valid.x), valid)
        limit = round(rounds[0]) if rounds else self.rounds
        model = Model(self._parameters(task, limit, watch is not None, context))
        with context.stage(self.label, total=limit, unit="round") as stage:
            progress = _Progress(stage, context, stops=watch is not None)
            model.fit(pool(x, train), eval_set=watch, callbacks=[progress])
        return Symmetric(self, train.x.shape[1], model, encoding, center, scale)

    def _parameters(
        self, task: Task, rounds: int, watched: bool, context: Context
    ) -> dict[str, Any]:
        classes = {"classes_count": task.width} if task.is_classification and task.width > 2 else {}
        stopping = {"od_type": "Iter", "od_wait": self.patience, "use_best_model": True}
        return {
            "loss_function": _LOSSES[task.name],
            "iterations": rounds,
            "depth": self.depth,
            "learning_rate": self.learning_rate,
            "l2_leaf_reg": self.l2,
            "random_strength": self.noise,
            "rsm": self.columns,
            "boosting_type": "Plain",
            "random_seed": context.seed,
            "thread_count": context.threads or -1,
            "allow_writing_files": False,
            "logging_level": "Silent",
            **(stopping if watched else {}),
            **classes,
        }


class _Progress:
    """Tells of each round, and stops at the deadline."""

    def __init__(self, stage: Stage, context: Context, *, stops: bool) -> None:
        self._stage, self._context, self._stops = stage, context, stops

    def after_iteration(self, info: Any) -> bool:
        advance(self._stage, info.metrics.get("validation", {}))
        return not self._stops or self._context.seconds_left() > 0
