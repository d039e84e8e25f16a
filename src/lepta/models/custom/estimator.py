"""A scikit-learn estimator of one's own, fitted on the prepared table."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ConfigError, ExportError, TrainError, missing_extra, suggest
from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.models.custom.given import called, load_model, summary
from lepta.models.front import Front, TableStyle, fit_front
from lepta.models.front.front import PLAIN, TABLE
from lepta.models.graph import LAST_CLASSIC_TREES, OPSET, Graph
from lepta.models.learner import Fitted, Learner, row_weights
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

_LEAST = 1e-7
"""Smallest probability told from zero."""
_CONVERTIBLE = (
    "LogisticRegression, RandomForestClassifier, ExtraTreesClassifier, GradientBoostingClassifier, "
    "MLPClassifier, SVC, KNeighborsClassifier and their regressors, or a Pipeline of them"
)


@dataclass(frozen=True)
class SklearnFitted(Fitted):
    """A fitted estimator over the prepared table."""

    front: Front
    task: Task
    estimator: Any
    learner: Sklearn

    def refit(self, rows: Dataset, context: Context) -> SklearnFitted:
        return replace(self, estimator=self.learner.fitted(self.front, rows, self.task, context))

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        table = arrays[TABLE]
        if not self.task.is_classification:
            return np.asarray(self.estimator.predict(table), np.float32).reshape(len(table), -1)
        if hasattr(self.estimator, "predict_proba"):
            known = np.asarray(self.estimator.predict_proba(table)) @ self._places()
            return np.log(np.maximum(known, _LEAST)).astype(np.float32)
        margins = np.asarray(self.estimator.decision_function(table), np.float32)
        return _two_columns(margins.reshape(len(table), -1))

    def _places(self) -> NDArray[np.float32]:
        """Return (classes the estimator saw, all classes): which is which."""
        places = np.zeros((len(self.estimator.classes_), self.task.width), np.float32)
        places[np.arange(len(places)), np.asarray(self.estimator.classes_, np.int64)] = 1.0
        return places

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        columns = self.estimator.n_features_in_
        model = _converted(self.estimator, columns, classes=self.task.is_classification)
        names = graph.embed(model, {model.graph.input[0].name: values[TABLE]})
        scores = graph.op("Cast", names[-1], to=1)
        if not self.task.is_classification:
            return graph.op("Flatten", scores, axis=1)
        if hasattr(self.estimator, "predict_proba"):
            known = graph.op("MatMul", scores, graph.const(self._places()))
            return graph.op("Log", graph.op("Max", known, graph.const(_LEAST, "float32")))
        if self.task.width == 2:
            first = graph.op("Slice", scores, *(graph.const([n], "int64") for n in (-1, 9, 1)))
            return graph.op("Mul", first, graph.const([[-0.5, 0.5]], "float32"))
        return scores

    def workshop(self) -> dict[str, bytes]:
        recipe = {
            "learner": "sklearn",
            "estimator": summary(self.estimator),
            "parameters": {k: repr(v) for k, v in self.estimator.get_params(deep=False).items()},
        }
        return {"workshop/recipe.json": json.dumps(recipe).encode()}


@dataclass(frozen=True)
class Sklearn(Learner):
    """A scikit-learn classifier, regressor or pipeline over the prepared table.

    Attributes:
        model: the estimator, a function that returns it, or "file.py:name"; a copy is fitted.
        style: "dense" (numbers standardised, categories one-hot) or "codes" (for trees).
        parameters: of the estimator, as its ``set_params`` takes them ("C", "step__C").
    """

    model: Any = None
    style: TableStyle = "dense"
    parameters: dict[str, Any] = field(default_factory=dict)

    def unfit_for(self, schema: Schema, task: Task) -> str:
        if self.model is None:
            return "no model was given; give model="
        return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> SklearnFitted:
        try:
            import skl2onnx  # noqa: F401 - told before training, not after
        except ModuleNotFoundError as error:
            raise missing_extra("skl2onnx", "sklearn", "A scikit-learn model") from error
        front = fit_front(train, style=self.style, image=None, context=context)
        return SklearnFitted(front, task, self.fitted(front, train, task, context), self)

    def fitted(self, front: Front, rows: Dataset, task: Task, context: Context) -> Any:
        """Return a copy of the estimator, fitted on ``rows``.

        Raises:
            ConfigError: it has no such parameter.
            TrainError: it is of the wrong kind for the task, or refuses the data.
        """
        from sklearn.base import clone, is_classifier, is_regressor

        given = load_model(self.model) if isinstance(self.model, str) else self.model
        estimator = _with_parameters(clone(given), self.parameters)
        if not (is_classifier if task.is_classification else is_regressor)(estimator):
            wanted = "classifier" if task.is_classification else "regressor"
            raise TrainError(
                f"{called(estimator)} is no {wanted}, and the task is {task.name}.",
                fix=f"Give a {wanted}.",
            )
        _seed(estimator, context.seed)
        x, y = front.run(rows, context)[TABLE], rows.targets(task)
        known = row_weights(rows, task, balance=self.balance)
        with context.stage("sklearn", total=1, unit="fit") as stage:
            try:
                estimator.fit(x, y, **_weights(estimator, known))
            except (ValueError, TypeError) as error:
                raise TrainError(f"{called(estimator)} refuses the data: {error}") from error
            stage.advance()
        return estimator


def _with_parameters(estimator: Any, parameters: Mapping[str, Any]) -> Any:
    known = estimator.get_params(deep=True)
    for name in parameters:
        if name not in known:
            raise ConfigError(
                f"{called(estimator)} has no parameter {name!r}.{suggest(name, known)}",
                fix=f"Its parameters are: {', '.join(known)}.",
            )
    return estimator.set_params(**parameters)


def _seed(estimator: Any, seed: int) -> None:
    """Set every seed that was left open."""
    open_ones = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if name.split("__")[-1] == "random_state" and value is None
    }
    estimator.set_params(**open_ones)


def _weights(estimator: Any, known: NDArray[np.float64] | None) -> dict[str, Any]:
    """Return the argument of ``fit`` by which an estimator takes row weights.

    Raises:
        TrainError: there are weights, and it takes none.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import has_fit_parameter

    if known is None:
        return {}
    last, prefix = estimator, ""
    while isinstance(last, Pipeline):
        prefix += f"{last.steps[-1][0]}__"
        last = last.steps[-1][1]
    if not has_fit_parameter(last, "sample_weight"):
        raise TrainError(
            f"{called(last)} takes no row weights.",
            fix="Give the weight column the role 'ignore' and leave balance out, or take another "
            "estimator.",
        )
    return {f"{prefix}sample_weight": known}


def _two_columns(margins: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hstack([-margins / 2, margins / 2]) if margins.shape[1] == 1 else margins


def _converted(estimator: Any, columns: int, *, classes: bool) -> Any:
    """Return the estimator as ONNX; its last output is the scores.

    Raises:
        ExportError: skl2onnx does not know it.
    """
    try:
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType
    except ModuleNotFoundError as error:
        raise missing_extra("skl2onnx", "sklearn", "A scikit-learn model") from error
    options: dict[str, Any] = {}
    if classes:
        options = {"zipmap": False} if hasattr(estimator, "predict_proba") else {"raw_scores": True}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return to_onnx(
                estimator,
                initial_types=[("table", FloatTensorType([None, columns]))],
                target_opset={"": OPSET, "ai.onnx.ml": LAST_CLASSIC_TREES - 1},
                options=options,
            )
    except Exception as error:
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise ExportError(
            f"{called(estimator)} cannot be written as ONNX: {detail}",
            fix=f"Take one that can: {_CONVERTIBLE}; or learner='trees' for gradient boosting.",
        ) from error
