"""Forests of scikit-learn.

Random forests are by Breiman (2001, doi:10.1023/A:1010933404324), extremely randomised trees by
Geurts, Ernst & Wehenkel (2006, doi:10.1007/s10994-006-6226-1).

A forest's raw score is the mean of its trees' *logits*, not the logit of their mean probability:
so that forests add up with boosters, tree by tree. The mean is too timid; slope and shift that
suit the validation rows best make up for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context
from lepta.core.space import Range
from lepta.models.front import Front
from lepta.models.learner import ANSWERS
from lepta.models.trees.encoding import Encoding
from lepta.models.trees.ensemble import Ensemble
from lepta.models.trees.fitted import Grown, Rows, TreeLearner
from lepta.models.trees.reading import read_tree
from lepta.models.trees.total import TreeSum
from lepta.tasks import Task

_DOUBT = 0.25
"""Rows of the usual shares of the classes that are added to those of each leaf."""
_LEAST = 200
"""Leaves that a tree may have, however many classes there are."""
_BATCH = 0.2
"""Seconds after which to look at the clock, about."""


@dataclass(frozen=True, eq=False)
class Wood(Grown):
    """A forest.

    Attributes:
        model: scikit-learn's.
        encoding: what makes its columns.
        leaves: raw scores of each node of each tree, (nodes, targets) a tree.
        slope, shift: what the mean of the trees is multiplied by, and what is added to it.
    """

    model: Any
    encoding: Encoding
    leaves: tuple[NDArray[np.float64], ...]
    slope: float
    shift: NDArray[np.float64]

    @property
    def rounds(self) -> tuple[float, ...]:
        return (len(self.leaves), self.slope, *self.shift.tolist())

    def raw(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        mean = _mean(self.model, self.leaves, self.encoding.run(x))
        return mean * self.slope + self.shift

    def total(self) -> TreeSum:
        targets, factor = len(self.shift), self.slope / len(self.leaves)
        trees, vectors, first = [], [], 0
        for number, (estimator, values) in enumerate(
            zip(self.model.estimators_, self.leaves, strict=True)
        ):
            tree = estimator.tree_
            if targets == 1:
                trees.append(read_tree(tree, values[:, 0] * factor))
                continue
            ends = tree.children_left < 0
            numbers = np.zeros(len(values))
            numbers[ends] = first + np.arange(ends.sum())
            trees.append(read_tree(tree, numbers, targets + number))
            vectors.append(values[ends] * factor)
            first += int(ends.sum())
        return TreeSum(
            ensemble=self.encoding.restored(Ensemble.join(trees)),
            bias=self.shift,
            columns=self.columns,
            vectors=np.concatenate(vectors) if vectors else None,
            lookups=self.encoding.lookups,
        )

    @property
    def size(self) -> int:
        return sum(int(estimator.tree_.n_leaves) for estimator in self.model.estimators_)

    def files(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        trees = [estimator.tree_ for estimator in self.model.estimators_]
        arrays = {
            name: np.concatenate([getattr(tree, name) for tree in trees]).astype(np.int32)
            for name in ("feature", "children_left", "children_right", "missing_go_to_left")
        }
        arrays["nodes"] = np.array([tree.node_count for tree in trees])
        arrays["threshold"] = np.concatenate([tree.threshold for tree in trees])
        arrays["values"] = np.concatenate(self.leaves).astype(np.float32)
        return {"forest.safetensors": save(arrays), **self.encoding.files()}

    def recipe(self) -> dict[str, Any]:
        shift = self.shift.tolist()
        return {"learner": self.learner.label, "slope": self.slope, "shift": shift}


@dataclass(frozen=True)
class Forest(TreeLearner):
    """Trees grown apart on drawn rows, each question the best of some columns.

    Attributes:
        trees: how many, at the most.
        leaves: of each tree, at the most; fewer where each holds many classes.
        min_rows: rows of a leaf, at the least.
        columns: share of the columns that a question may choose from.
        few: a category of at most so many values becomes one column a value.
    """

    trees: int = 100
    leaves: Annotated[int, Range(50, 800, log=True)] = 300
    min_rows: Annotated[int, Range(1, 30, log=True)] = 2
    columns: Annotated[float, Range(0.1, 1.0)] = 0.4
    few: Annotated[int, Range(2, 20)] = 6

    tasks: ClassVar[frozenset[str]] = ANSWERS
    label: ClassVar[str] = "forest"
    drawn: ClassVar[bool] = True
    """Whether each tree is grown on rows drawn with replacement."""

    def learn(
        self,
        front: Front,
        task: Task,
        train: Rows,
        valid: Rows | None,
        rounds: tuple[float, ...] | None,
        context: Context,
    ) -> Wood:
        encoding, x = Encoding.fit(front, task, train, self.few, context.seed)
        forest = self._forest(task, context)
        self._plant(forest, x, train, round(rounds[0]) if rounds else self.trees, context)
        leaves = tuple(_leaves(forest, task, train))
        targets = leaves[0].shape[1]
        slope, shift = 1.0, np.zeros(targets)
        if rounds:
            slope, shift = rounds[1], np.array(rounds[2:])
        elif valid is not None and len(valid.y) and task.is_classification:
            mean = _mean(forest, leaves, encoding.run(valid.x))
            slope, shift = _sharpened(mean, valid)
        return Wood(self, train.x.shape[1], forest, encoding, leaves, slope, shift)

    def _forest(self, task: Task, context: Context) -> Any:
        try:
            from sklearn import ensemble
        except ModuleNotFoundError as error:
            raise missing_extra("scikit-learn", "train", "A forest") from error
        kind = "Classifier" if task.is_classification else "Regressor"
        family = "RandomForest" if self.drawn else "ExtraTrees"
        share = 2 if task.width <= 2 else task.width  # numbers in all leaves, kept alike
        return getattr(ensemble, family + kind)(
            n_estimators=0,
            warm_start=True,
            max_leaf_nodes=max(2, min(self.leaves, max(_LEAST, 2 * self.leaves // share))),
            min_samples_leaf=self.min_rows,
            max_features=self.columns,
            random_state=context.seed,
            n_jobs=context.threads,
        )

    def _plant(
        self, forest: Any, x: NDArray[np.float32], rows: Rows, trees: int, context: Context
    ) -> None:
        """Grow so many trees, or as many as there is time for."""
        batch = 1
        with context.stage(self.label, total=trees, unit="tree") as stage:
            while forest.n_estimators < trees:
                batch = min(batch, trees - forest.n_estimators)
                forest.set_params(n_estimators=forest.n_estimators + batch)
                left = context.seconds_left()
                forest.fit(x, rows.y, sample_weight=rows.weights)
                stage.advance(batch)
                took = left - context.seconds_left()
                more = 2 if took < _BATCH else 1
                if context.seconds_left() <= took * more:
                    return
                batch *= more


@dataclass(frozen=True)
class ExtraTrees(Forest):
    """Trees grown apart on all rows, each question the best of some drawn at random."""

    label: ClassVar[str] = "extra-trees"
    drawn: ClassVar[bool] = False


def _leaves(forest: Any, task: Task, rows: Rows) -> Any:
    """Yield the raw scores of the nodes of each tree, (nodes, targets)."""
    if not task.is_classification:
        yield from (each.tree_.value[:, 0, :] for each in forest.estimators_)
        return
    counts = np.bincount(rows.y, weights=rows.weights, minlength=task.width)
    usual = (counts + 0.5) / (counts + 0.5).sum()
    for estimator in forest.estimators_:
        tree = estimator.tree_
        shares = np.zeros((tree.node_count, task.width))
        shares[:, forest.classes_] = tree.value[:, 0, :]
        known = tree.weighted_n_node_samples[:, None]
        logs = np.log((shares * known + _DOUBT * usual) / (known + _DOUBT))
        if task.width == 2:
            yield logs[:, 1:] - logs[:, :1]
        else:
            yield logs - logs.mean(axis=1, keepdims=True)


def _mean(
    forest: Any, leaves: Sequence[NDArray[np.float64]], x: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the mean over trees of the raw scores of the leaves that rows come to."""
    with np.errstate(over="ignore", invalid="ignore"):  # scikit-learn sums all values to look
        ends = forest.apply(x)  # for infinite ones, and the largest numbers overflow that sum
    total = np.zeros((len(x), leaves[0].shape[1]))
    for number, values in enumerate(leaves):
        total += values[ends[:, number]]
    return total / len(leaves)


def _sharpened(mean: NDArray[np.float64], rows: Rows) -> tuple[float, NDArray[np.float64]]:
    """Return slope and shift of least log loss, held near 1 and 0 where rows are few."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    targets, count = mean.shape[1], len(mean)
    weights = np.full(count, 1 / count) if rows.weights is None else rows.weights / count
    labels, each = np.asarray(rows.y, np.int64), np.arange(count)

    def loss(choice: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the loss of log slope and shift, and its gradient."""
        sharp = mean * np.exp(choice[0])
        raw = sharp + choice[1:]
        logits = np.hstack([np.zeros((count, 1)), raw]) if targets == 1 else raw
        logs = log_softmax(logits, axis=1)
        slopes = np.exp(logs)
        slopes[each, labels] -= 1.0
        slopes = slopes[:, -targets:] * weights[:, None]
        total = -(logs[each, labels] * weights).sum() + (choice**2).sum() / count
        gradient = np.concatenate([[(slopes * sharp).sum()], slopes.sum(axis=0)])
        return float(total), gradient + 2 * choice / count

    start = np.zeros(1 + targets)
    chosen = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return float(np.exp(chosen[0])), chosen[1:]
