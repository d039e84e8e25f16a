"""The learner: LightGBM with early stopping."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context, Stage
from lepta.core.space import Choice, Range
from lepta.models.front import Front
from lepta.models.learner import VECTORS, center_and_scale
from lepta.models.trees.ensemble import Ensemble
from lepta.models.trees.fitted import Grown, Rows, TreeLearner
from lepta.models.trees.parts import NUMBERS, parts_of
from lepta.models.trees.ranked import OBJECTIVE, by_query
from lepta.models.trees.reading import read_lightgbm
from lepta.models.trees.total import TreeSum
from lepta.tasks import Task

_LEAVES = re.compile(r"^num_leaves=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Booster:
    """A trained booster, or a constant where there was nothing to learn."""

    model: Any
    constant: float = 0.0

    @property
    def rounds(self) -> int:
        """Rounds that did best on the validation rows, or all where there were none."""
        if self.model is None:
            return 1
        return int(self.model.best_iteration) or int(self.model.current_iteration())

    def raw(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the raw scores of each row, (rows, scores)."""
        if self.model is None:
            return np.full((len(x), 1), self.constant)
        return np.asarray(self.model.predict(x, raw_score=True), np.float64).reshape(len(x), -1)

    @property
    def size(self) -> int:
        """Leaves of all trees."""
        if self.model is None:
            return 1
        return sum(map(int, _LEAVES.findall(self.model.model_to_string())))

    def trees(self) -> Ensemble:
        """Return the same as arrays."""
        if self.model is None:
            return Ensemble.constant(self.constant)
        return read_lightgbm(self.model.model_to_string())


@dataclass(frozen=True, eq=False)
class Boosted(Grown):
    """LightGBM's boosters: one, or one for each raw score.

    Attributes:
        boosters: what was trained.
        center, scale: of a target that is a number, which boosters learn standardised.
    """

    boosters: tuple[Booster, ...]
    center: float
    scale: float

    @property
    def rounds(self) -> tuple[int, ...]:
        return tuple(booster.rounds for booster in self.boosters)

    def raw(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        scores = np.hstack([booster.raw(x) for booster in self.boosters])
        return np.asarray(scores * self.scale + self.center)

    def total(self) -> TreeSum:
        parts = [booster.trees() for booster in self.boosters]
        if len(parts) > 1:
            parts = [replace(p, targets=p.targets + number) for number, p in enumerate(parts)]
        ensemble = Ensemble.join(parts)
        targets = int(ensemble.targets.max()) + 1
        plain = TreeSum(ensemble, np.zeros(targets), self.columns).scaled(self.scale)
        return replace(plain, bias=np.full(targets, self.center))

    @property
    def size(self) -> int:
        return sum(booster.size for booster in self.boosters)

    def files(self) -> dict[str, bytes]:
        several = len(self.boosters) > 1
        return {
            f"lightgbm_{number}.txt" if several else "lightgbm.txt": text
            for number, booster in enumerate(self.boosters)
            if booster.model is not None
            for text in [booster.model.model_to_string().encode()]
        }

    def recipe(self) -> dict[str, Any]:
        constants = [b.constant if b.model is None else None for b in self.boosters]
        recipe = {"learner": self.learner.label, "center": self.center, "scale": self.scale}
        return recipe | ({"constants": constants} if len(constants) > 1 else {})


@dataclass(frozen=True)
class Trees(TreeLearner):
    """Gradient-boosted trees.

    Attributes:
        rounds: boosting rounds at the most.
        patience: rounds without a better validation loss after which to stop.
        learning_rate, leaves, min_rows, columns, rows, l2: as in LightGBM.
        extra: draw one threshold a column at random, and choose among those. Trees of chance differ
            more from each other, so that their sum overfits later: on the tables of
            ``benchmarks/portfolio.py`` they did best of LightGBM's.
    """

    rounds: int = 2000
    patience: int = 50
    learning_rate: Annotated[float, Range(0.01, 0.3, log=True)] = 0.08
    leaves: Annotated[int, Range(4, 128, log=True)] = 24
    min_rows: Annotated[int, Range(2, 100, log=True)] = 5
    columns: Annotated[float, Range(0.3, 1.0)] = 0.8
    rows: Annotated[float, Range(0.5, 1.0)] = 0.8
    l2: Annotated[float, Range(0.01, 50.0, log=True)] = 5.0
    extra: Annotated[bool, Choice(False, True)] = True

    tasks: ClassVar[frozenset[str]] = VECTORS | {"ranking"}
    label: ClassVar[str] = "trees"

    def balances(self, task: Task) -> bool:
        return super().balances(task) or task.name == "multilabel"

    def learn(
        self,
        front: Front,
        task: Task,
        train: Rows,
        valid: Rows | None,
        rounds: tuple[float, ...] | None,
        context: Context,
    ) -> Boosted:
        """Boost, one booster for each part of the target, each stopped early on its own.

        A target that is a number is standardised: float32 sums of trees then keep its digits.
        """
        center, scale = center_and_scale(train.y) if task.name in NUMBERS else (0.0, 1.0)
        parts = parts_of(task, train.y, center, scale)
        watch = [None] * len(parts) if valid is None else parts_of(task, valid.y, center, scale)
        limits = [round(n) for n in rounds or (self.rounds,) * len(parts)]
        categorical, boosters = list(front.categorical), []
        for number, (part, held, limit) in enumerate(zip(parts, watch, limits, strict=True)):
            if part.constant is not None:
                boosters.append(Booster(None, part.constant))
                continue
            share = context.share(len(parts) - number)
            unseen = held.of(valid) if held is not None and valid is not None else None
            skewed = self.balance and task.name == "multilabel"
            objective = part.objective | ({"is_unbalance": True} if skewed else {})
            chosen = part.of(train)
            boosters.append(
                Booster(self.boost(categorical, objective, chosen, unseen, limit, share))
            )
        return Boosted(self, train.x.shape[1], tuple(boosters), center, scale)

    def boost(
        self,
        categorical: list[int],
        objective: dict[str, Any],
        train: Rows,
        valid: Rows | None,
        rounds: int,
        context: Context,
    ) -> Any:
        """Return a LightGBM booster of ``objective`` (its parameters); see :meth:`learn`.

        Columns in ``categorical`` hold codes.
        """
        try:
            import lightgbm as lgb
        except ModuleNotFoundError as error:
            raise missing_extra("lightgbm", "train", "A tree model") from error
        ranked = objective["objective"] == OBJECTIVE["objective"]
        data = lgb.Dataset(categorical_feature=categorical, **_columns(train, ranked))
        watch = []
        if valid is not None and len(valid.y):
            watch = [lgb.Dataset(reference=data, **_columns(valid, ranked))]
        with context.stage(self.label, total=rounds, unit="round") as stage:
            callbacks = [_progress(stage, context)]
            if watch:
                callbacks.append(lgb.early_stopping(self.patience, verbose=False))
            parameters = self._parameters(context, len(train.y)) | objective
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
            "extra_trees": self.extra,
            "max_cat_to_onehot": 8,
            "seed": context.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": context.threads or 0,
            "verbosity": -1,
        }


def _columns(rows: Rows, ranked: bool) -> dict[str, Any]:
    if ranked:
        x, y, weights, sizes = by_query(rows.x, rows.y, rows.weights)
        return {"data": x, "label": y, "weight": weights, "group": sizes}
    given = {"data": rows.x, "label": rows.y, "weight": rows.weights}
    return given | ({} if rows.start is None else {"init_score": rows.start})


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
