"""Isolation forest (Liu, Ting & Zhou 2008, doi:10.1109/ICDM.2008.17), by scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.models.front import Front, fit_front
from lepta.models.front.front import PLAIN, TABLE
from lepta.models.graph import Graph
from lepta.models.learner import Fitted, Learner, row_weights
from lepta.models.outliers.normal import TASKS, normal_rows
from lepta.models.trees.ensemble import Ensemble
from lepta.models.trees.reading import read_tree
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset


@dataclass(frozen=True)
class ForestFitted(Fitted):
    """A forest of scikit-learn and the same trees as arrays.

    The raw score is that of the paper: 2 to the power of minus the mean path length of a row,
    divided by the path length to be expected. It lies between 0 and 1; normal rows are near 0.5
    or below.
    """

    front: Front
    task: Task
    forest: Any
    ensemble: Ensemble

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.asarray(-self.forest.score_samples(arrays[TABLE]), np.float32)[:, None]

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        longer = self.ensemble.emit(graph, values[TABLE], 1)
        shorter = graph.op("Sub", graph.const(-1.0, "float32"), longer)
        return graph.op("Pow", graph.const(2.0, "float32"), shorter)

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        trees = [estimator.tree_ for estimator in self.forest.estimators_]
        arrays = {
            name: np.concatenate([getattr(tree, name) for tree in trees])
            for name in ("feature", "threshold", "children_left", "children_right",
                         "n_node_samples")
        }  # fmt: skip
        arrays["nodes"] = np.array([tree.node_count for tree in trees])
        recipe = {"learner": "isolation-forest", "rows": int(self.forest.max_samples_)}
        return {
            "workshop/forest.safetensors": save(arrays),
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }


@dataclass(frozen=True)
class IsolationForest(Learner):
    """Random trees that part rows from each other; what is parted soon is strange.

    Attributes:
        trees: how many.
        rows: normal rows drawn for each tree, at the most.
    """

    trees: int = 200
    rows: int = 256

    tasks: ClassVar[frozenset[str]] = TASKS

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> ForestFitted:
        try:
            from sklearn import ensemble
        except ModuleNotFoundError as error:
            raise missing_extra("scikit-learn", "train", "An isolation forest") from error
        normal = normal_rows(train, task)
        front = fit_front(normal, style="dense", image=None, context=context)
        x = front.run(normal, context)[TABLE]
        with context.stage("isolation-forest", unit="tree") as stage:
            forest = ensemble.IsolationForest(
                n_estimators=self.trees,
                max_samples=min(self.rows, len(x)),
                random_state=context.seed,
                n_jobs=context.threads,
            ).fit(x, sample_weight=row_weights(normal, task, balance=False))
            stage.advance(self.trees)
        return ForestFitted(front, task, forest, read_forest(forest))


def read_forest(forest: Any) -> Ensemble:
    """Return trees whose sum is the mean path length over the expected one, less one.

    Sums near 0 keep the digits that float32 has.
    """
    usual = _path_length(np.array([forest.max_samples_]))[0]
    count = len(forest.estimators_)
    trees = []
    for estimator in forest.estimators_:
        tree = estimator.tree_
        lengths = tree.compute_node_depths() - 1.0 + _path_length(tree.n_node_samples)
        trees.append(read_tree(tree, (lengths / usual - 1.0) / count))
    return Ensemble.join(trees)


def _path_length(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean path length of a tree that is grown on so many rows until all are alone."""
    n = np.maximum(np.asarray(rows, np.float64), 2.0)
    harmonic = np.log(n - 1.0) + np.euler_gamma
    many = 2.0 * harmonic - 2.0 * (n - 1.0) / n
    return np.where(rows > 2, many, (rows == 2).astype(np.float64))
