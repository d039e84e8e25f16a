"""The seam of everything that can be trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from lepta.core.errors import DataError, Where
from lepta.core.events import Context
from lepta.core.registry import Registry
from lepta.core.schema import Role, Schema
from lepta.models.front import Front
from lepta.models.graph import Graph
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

LEARNERS = Registry(
    "lepta.learners",
    "learner",
    {
        "linear": "lepta.models.linear:Linear",
        "spline": "lepta.models.hybrid.additive:Spline",
        "residual": "lepta.models.hybrid.residual:Residual",
        "leaf-linear": "lepta.models.hybrid.leaves:LeafLinear",
        "embedded-trees": "lepta.models.hybrid.embedded:EmbeddedTrees",
        "kernel": "lepta.models.kernels.learner:Kernel",
        "neighbours": "lepta.models.kernels.neighbours:Neighbours",
        "trees": "lepta.models.trees:Trees",
        "xgboost": "lepta.models.trees:XGBoost",
        "catboost": "lepta.models.trees:CatBoost",
        "forest": "lepta.models.trees:Forest",
        "extra-trees": "lepta.models.trees:ExtraTrees",
        "factorization": "lepta.models.factorization:Factorization",
        "transitions": "lepta.models.transitions:Transitions",
        "bag": "lepta.models.bag:Bag",
        "transfer": "lepta.models.transfer:Transfer",
        "finetune": "lepta.training.finetune:Finetune",
        "statistical": "lepta.models.forecast.statistical:Statistical",
        "forecast-trees": "lepta.models.forecast.boosted:ForecastTrees",
        "forecaster": "lepta.training.forecasting:ForecastLearner",
        "hybrid-forecaster": "lepta.training.forecasting:HybridForecastLearner",
        "neural": "lepta.training.neural:Mixed",
        "mlp": "lepta.training.neural:Mlp",
        "tabm": "lepta.training.tables.learner:TabM",
        "cnn": "lepta.training.neural:Cnn",
        "resnet": "lepta.training.neural:ResNet",
        "torch": "lepta.training.custom:Torch",
        "keras": "lepta.training.custom:Keras",
        "sklearn": "lepta.models.custom.estimator:Sklearn",
        "isolation-forest": "lepta.models.outliers.forest:IsolationForest",
        "patchcore": "lepta.models.outliers.patches:PatchCore",
        "unet": "lepta.training.segmenting:Unet",
        "detector": "lepta.training.detecting:DetectorLearner",
    },
)
"""Everything that can be trained, by name."""

ANSWERS = frozenset({"binary", "multiclass", "regression"})
"""Tasks with one label or number a row."""
VECTORS = ANSWERS | {"quantile", "multilabel", "ordinal"}
"""Tasks with one vector of raw scores a row: whatever ends in a dense head learns them."""


class Fitted(ABC):
    """A trained model: preprocessing and a body that ends in raw scores (logits or a value)."""

    front: Front
    task: Task

    @abstractmethod
    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return raw scores (rows, width) by the training library, from prepared arrays."""

    @abstractmethod
    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        """Add the body to a graph; return the name of the raw scores (rows, width)."""

    def scores(self, rows: Dataset, context: Context, temperature: float = 1.0) -> NDArray[Any]:
        """Return final scores by the training library; the graph must give the same.

        They have the form of :class:`lepta.runtime.Predictions`: an object array where rows
        differ in shape.
        """
        return self.task.finish(self.raw_of(rows, context), temperature)

    def raw_of(self, rows: Dataset, context: Context) -> NDArray[Any]:
        """Return the raw scores of a dataset: what the task finishes, and is calibrated by."""
        return self.raw(self.front.run(rows, context))

    def with_task(self, task: Task) -> Fitted:
        """Return the same model for the task once it is calibrated."""
        if task == self.task:
            return self
        changed = copy(self)
        object.__setattr__(changed, "task", task)
        return changed

    def combine(self, others: Sequence[Fitted], weights: Sequence[float]) -> Fitted | None:
        """Return one model whose raw scores are the weighted sum of those of several.

        Where models of a kind read the same prepared arrays (``front`` is the same object), their
        sum may be one model of the kind: trees side by side, one matrix of weights. It is smaller
        and faster than its parts.

        Args:
            others: models of the same class and front.
            weights: of this model's raw scores and of each of the others'; they need not sum to 1.

        Returns:
            The sum; None where there is no such model (then they are added in the graph).
        """
        return None

    @property
    def size(self) -> int:
        """Roughly the bytes that the body adds to a graph; 0 where it is small or not known.

        A search makes bags of fewer folds of what is large.
        """
        return 0

    def refit(self, rows: Dataset, context: Context) -> Fitted:
        """Return the model fitted on more rows, with the choices made; by default itself."""
        return self

    @abstractmethod
    def workshop(self) -> dict[str, bytes]:
        """Return what is needed to go on training: weights and recipe, no pickle."""


@dataclass(frozen=True)
class Learner(ABC):
    """How to make a :class:`Fitted`. Its fields are its options.

    Attributes:
        balance: weigh classes so that each counts the same.
    """

    balance: bool = False

    tasks: ClassVar[frozenset[str]] = ANSWERS
    """Names of the tasks that it can learn."""

    def refusal(self, schema: Schema, task: Task) -> str:
        """Return why the learner cannot learn ``task`` from such data, or an empty string."""
        if task.name not in self.tasks:
            return f"it does not learn the task {task.name!r}"
        if self.balance and not self.balances(task):
            return f"it does not weigh the classes of the task {task.name!r}; leave balance out"
        return self.unfit_for(schema, task)

    def balances(self, task: Task) -> bool:
        """Return whether ``balance`` has a meaning for ``task``."""
        return task.is_classification

    @abstractmethod
    def unfit_for(self, schema: Schema, task: Task) -> str:
        """Return why the learner cannot take this data, or an empty string."""

    def warm(self, rows: Dataset, context: Context) -> None:
        """Put into the cache what every fit on some of ``rows`` needs: decoded files, features.

        A search calls it once, with all threads, before its workers begin.
        """
        return

    @abstractmethod
    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> Fitted:
        """Train on ``train``, watching ``valid``; keep to ``context.deadline``."""


def to_onnx(fitted: Fitted, temperature: float = 1.0) -> ModelProto:
    """Return the one graph that ships: preprocessing, body, calibration, final scores."""
    graph = Graph()
    raw = fitted.emit(graph, fitted.front.emit(graph))
    output = fitted.task.output()
    scores = fitted.task.emit(graph, raw, temperature)
    graph.output(scores, output.name, output.dtype, output.shape)
    return graph.build()


def center_and_scale(y: NDArray[Any]) -> tuple[float, float]:
    """Return mean and standard deviation (1 where there is none) of a target that is a number."""
    return float(np.mean(y)), float(np.std(y)) or 1.0


def row_weights(data: Dataset, task: Task, *, balance: bool) -> NDArray[np.float64] | None:
    """Return the weight of each row, mean one: its weight field times its class's, or None.

    Raises:
        DataError: a weight is missing or negative, or all are zero.
    """
    field = data.schema.one(Role.WEIGHT)
    weights = np.ones(len(data)) if field is None else data.numpy(field.name).astype(np.float64)
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise DataError(
            "Weights are one number a row, finite, not negative, and not all zero.",
            where=Where(field=field.name if field else None),
            fix="Mend the weight column, or give it the role 'ignore'.",
        )
    if balance and task.is_classification:
        y = data.targets(task)
        weights = weights * class_weights(y, task.width)
    return None if (weights == weights[0]).all() else weights / weights.mean()


def class_weights(y: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    """Return one weight a row so that every class counts the same and the mean is one."""
    counts = np.bincount(y, minlength=width).astype(np.float64)
    per_class = np.where(counts > 0, len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1)), 0)
    return np.asarray(per_class[y])
