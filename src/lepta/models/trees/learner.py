"""The learner: LightGBM with early stopping."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context, Stage
from lepta.core.schema import Schema
from lepta.models.front import Front, fit_front
from lepta.models.front.front import PLAIN, TABLE
from lepta.models.graph import Graph
from lepta.models.learner import (
    ANSWERS,
    VECTORS,
    Fitted,
    Learner,
    center_and_scale,
    row_weights,
)
from lepta.models.trees.ensemble import Ensemble, read_ensemble
from lepta.models.trees.ranked import OBJECTIVE, by_query
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset


@dataclass(frozen=True)
class TreesFitted(Fitted):
    """A booster (LightGBM's text form) and the same trees as arrays."""

    front: Front
    task: Task
    booster: Any
    ensemble: Ensemble
    learner: Trees
    center: float
    scale: float

    def refit(self, rows: Dataset, context: Context) -> TreesFitted:
        x, y = self.front.run(rows, context)[TABLE], rows.targets(self.task)
        rounds = max(1, self.booster.best_iteration)
        known = row_weights(rows, self.task, balance=self.learner.balance)
        return self.learner.grow(self.front, self.task, (x, y, known), None, rounds, context)

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        scores = self.booster.predict(arrays[TABLE], raw_score=True) * self.scale + self.center
        return _widen(np.asarray(scores, np.float32).reshape(len(arrays[TABLE]), -1), self.task)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        scores = self.ensemble.emit(graph, values[TABLE])
        if self.task.is_classification and self.task.width == 2:
            return graph.op("Mul", scores, graph.const([[-0.5, 0.5]], "float32"))
        if self.task.is_classification:
            return scores
        scaled = graph.op("Mul", scores, graph.const(self.scale, "float32"))
        return graph.op("Add", scaled, graph.const(self.center, "float32"))

    def workshop(self) -> dict[str, bytes]:
        return {
            "workshop/lightgbm.txt": self.booster.model_to_string().encode(),
            "workshop/recipe.json": json.dumps(
                {"learner": "trees", "center": self.center, "scale": self.scale}
            ).encode(),
        }


def _widen(scores: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    if task.is_classification and task.width == 2:
        return np.hstack([-scores / 2, scores / 2])
    return scores


@dataclass(frozen=True)
class Trees(Learner):
    """Gradient-boosted trees.

    Attributes:
        rounds: boosting rounds at the most.
        patience: rounds without a better validation loss after which to stop.
        learning_rate, leaves, min_rows, columns, rows, l2: as in LightGBM.
    """

    rounds: int = 2000
    patience: int = 50
    learning_rate: float = 0.03
    leaves: int = 15
    min_rows: int = 40
    columns: float = 0.5
    rows: float = 0.8
    l2: float = 5.0

    tasks: ClassVar[frozenset[str]] = VECTORS | {"ranking"}

    def balances(self, task: Task) -> bool:
        return super().balances(task) or task.name == "multilabel"

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> Fitted:
        if task.name not in ANSWERS and not task.by_group:
            from lepta.models.trees.several import fit_several

            return fit_several(self, train, valid, task, context)
        front = fit_front(train, style="codes", image=None, context=context)
        x, y = front.run(train, context)[TABLE], train.targets(task)
        xv, yv = front.run(valid, context)[TABLE], valid.targets(task)
        known = row_weights(train, task, balance=self.balance)
        watched = row_weights(valid, task, balance=False)
        return self.grow(front, task, (x, y, known), (xv, yv, watched), self.rounds, context)

    def grow(
        self, front: Front, task: Task, train: Any, valid: Any, rounds: int, context: Context
    ) -> TreesFitted:
        """Boost on ``train`` (x, y, row weights); stop early where ``valid`` (the same) is given.

        A target that is a number is standardised: float32 sums of trees then keep its digits.
        """
        bare = task.is_classification or task.by_group
        center, scale = (0.0, 1.0) if bare else center_and_scale(train[1])

        def ready(x: Any, y: Any, weights: Any) -> tuple[Any, ...]:
            return by_query(x, y, weights) if task.by_group else (x, (y - center) / scale, weights)

        watch = None if valid is None else ready(*valid)
        booster = self.boost(front, _objective(task), ready(*train), watch, rounds, context)
        ensemble = read_ensemble(booster.dump_model())
        return TreesFitted(front, task, booster, ensemble, self, center, scale)

    def boost(
        self,
        front: Front,
        objective: dict[str, Any],
        train: Any,
        valid: Any,
        rounds: int,
        context: Context,
    ) -> Any:
        """Return a LightGBM booster of ``objective`` (its parameters); see :meth:`grow`.

        Rows are (x, y, row weights), and may end in the sizes of groups of rows to be ranked.
        """
        try:
            import lightgbm as lgb
        except ModuleNotFoundError as error:
            raise missing_extra("lightgbm", "train", "A tree model") from error
        x, y, weights, *groups = train
        data = lgb.Dataset(
            x, y, weight=weights, categorical_feature=list(front.categorical), **_group(groups)
        )
        watch = []
        if valid is not None:
            xv, yv, watched, *groups = valid
            watch = [lgb.Dataset(xv, yv, weight=watched, reference=data, **_group(groups))]
        with context.stage("trees", total=rounds, unit="round") as stage:
            callbacks = [_progress(stage, context)]
            if watch:
                callbacks.append(lgb.early_stopping(self.patience, verbose=False))
            parameters = self._parameters(context, len(y)) | objective
            return lgb.train(parameters, data, rounds, valid_sets=watch, callbacks=callbacks)

    def _parameters(self, context: Context, count: int) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": max(1, min(self.min_rows, count // 20)),
            "feature_fraction": self.columns,
            "bagging_fraction": self.rows,
            "bagging_freq": 1,
            "lambda_l2": self.l2,
            "max_cat_to_onehot": 8,
            "seed": context.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": context.threads or 0,
            "verbosity": -1,
        }


def _objective(task: Task) -> dict[str, Any]:
    if task.by_group:
        return OBJECTIVE
    if not task.is_classification:
        return {"objective": "regression"}
    if task.width == 2:
        return {"objective": "binary"}
    return {"objective": "multiclass", "num_class": task.width}


def _group(groups: list[Any]) -> dict[str, Any]:
    return {"group": groups[0]} if groups else {}


def _progress(stage: Stage, context: Context) -> Any:
    import lightgbm as lgb

    def callback(env: Any) -> None:
        results = env.evaluation_result_list
        if results:
            _, _, value, more_is_better, *_ = results[0]
            figure = "score" if more_is_better else "loss"
            stage.advance(1, **{figure: float(value)})
        else:
            stage.advance()
        if results and context.seconds_left() <= 0:
            raise lgb.callback.EarlyStopException(env.iteration, env.evaluation_result_list)

    callback.order = 40  # type: ignore[attr-defined]
    return callback
