"""XGBoost's trees, grown on histograms (Chen & Guestrin 2016, doi:10.1145/2939672.2939785)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context, Stage
from lepta.core.space import Range
from lepta.models.front import Front
from lepta.models.learner import ANSWERS, center_and_scale
from lepta.models.trees.fitted import Grown, Rows, TreeLearner, advance
from lepta.models.trees.reading import read_xgboost
from lepta.models.trees.total import TreeSum
from lepta.tasks import Task


@dataclass(frozen=True, eq=False)
class Extreme(Grown):
    """A booster of XGBoost; ``center`` and ``scale`` are of a target that is a number."""

    model: Any
    center: float
    scale: float

    @property
    def rounds(self) -> tuple[int, ...]:
        return (int(self.model.num_boosted_rounds()),)

    def raw(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        scores = self.model.inplace_predict(x, predict_type="margin")
        return np.asarray(scores, np.float64).reshape(len(x), -1) * self.scale + self.center

    def total(self) -> TreeSum:
        ensemble, bias = read_xgboost(json.loads(self.model.save_raw("json")))
        return TreeSum(ensemble, bias, self.columns).scaled(self.scale).shifted(self.center)

    @property
    def size(self) -> int:
        return sum(tree.count("leaf=") for tree in self.model.get_dump())

    def files(self) -> dict[str, bytes]:
        return {"xgboost.json": bytes(self.model.save_raw("json"))}

    def recipe(self) -> dict[str, Any]:
        return {"learner": self.learner.label, "center": self.center, "scale": self.scale}


@dataclass(frozen=True)
class XGBoost(TreeLearner):
    """Gradient-boosted trees that grow by level, by second derivatives.

    Attributes:
        rounds: boosting rounds at the most.
        patience: rounds without a better validation loss after which to stop.
        depth: questions from root to leaf, at the most.
        learning_rate, min_weight, columns, rows, l1, l2, gamma: as in XGBoost (``eta``,
            ``min_child_weight``, ``colsample_bynode``, ``subsample``, ``alpha``, ``lambda``).
    """

    rounds: int = 1000
    patience: int = 40
    depth: Annotated[int, Range(2, 9)] = 3
    learning_rate: Annotated[float, Range(0.01, 0.3, log=True)] = 0.1
    min_weight: Annotated[float, Range(0.3, 30.0, log=True)] = 2.0
    columns: Annotated[float, Range(0.3, 1.0)] = 0.4
    rows: Annotated[float, Range(0.5, 1.0)] = 0.7
    l1: Annotated[float, Range(0.001, 10.0, log=True)] = 0.001
    l2: Annotated[float, Range(0.1, 30.0, log=True)] = 5.0
    gamma: float = 0.0

    tasks: ClassVar[frozenset[str]] = ANSWERS
    label: ClassVar[str] = "xgboost"

    def learn(
        self,
        front: Front,
        task: Task,
        train: Rows,
        valid: Rows | None,
        rounds: tuple[float, ...] | None,
        context: Context,
    ) -> Extreme:
        try:
            import xgboost as xgb
        except ModuleNotFoundError as error:
            raise missing_extra("xgboost-cpu", "automl", "A model of XGBoost") from error
        center, scale = (0.0, 1.0) if task.is_classification else center_and_scale(train.y)
        kinds = ["c" if n in front.categorical else "q" for n in range(train.x.shape[1])]
        threads = context.threads or 0

        def matrix(rows: Rows, like: Any = None) -> Any:
            y = rows.y if task.is_classification else (rows.y - center) / scale
            return xgb.QuantileDMatrix(
                rows.x,
                y,
                weight=rows.weights,
                feature_types=kinds,
                enable_categorical=True,
                nthread=threads or None,
                ref=like,
            )

        data = matrix(train)
        watched = valid is not None and len(valid.y) > 0
        limit = round(rounds[0]) if rounds else self.rounds
        with context.stage(self.label, total=limit, unit="round") as stage:
            callbacks = [xgb.callback.EarlyStopping(rounds=self.patience)] if watched else []
            callbacks.append(_progress(stage, context, stops=watched))
            booster = xgb.train(
                self._parameters(task, train, context),
                data,
                limit,
                evals=[(matrix(valid, data), "valid")] if watched and valid else None,
                callbacks=callbacks,
                verbose_eval=False,
            )
        if watched:
            booster = booster[: booster.best_iteration + 1]
        booster.set_param({"nthread": 1})
        return Extreme(self, train.x.shape[1], booster, center, scale)

    def _parameters(self, task: Task, train: Rows, context: Context) -> dict[str, Any]:
        return {
            **_objective(task, train),
            "tree_method": "hist",
            "max_depth": self.depth,
            "learning_rate": self.learning_rate,
            "min_child_weight": self.min_weight,
            "colsample_bynode": self.columns,
            "subsample": self.rows,
            "alpha": self.l1,
            "lambda": self.l2,
            "gamma": self.gamma,
            "max_cat_to_onehot": 8,
            "seed": context.seed,
            "nthread": context.threads or 0,
            "verbosity": 0,
        }


def _objective(task: Task, train: Rows) -> dict[str, Any]:
    if not task.is_classification:
        return {"objective": "reg:squarederror", "base_score": 0.0}
    if task.width == 2:
        share = np.clip(np.average(train.y, weights=train.weights), 1e-4, 1 - 1e-4)
        return {"objective": "binary:logistic", "base_score": float(share)}
    return {"objective": "multi:softprob", "num_class": task.width, "base_score": 0.0}


def _progress(stage: Stage, context: Context, *, stops: bool) -> Any:
    from xgboost.callback import TrainingCallback

    class Progress(TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            advance(stage, evals_log.get("valid", {}))
            return stops and context.seconds_left() <= 0

    return Progress()
