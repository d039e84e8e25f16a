"""Linear models: logistic regression and ridge regression, by scikit-learn; others by descent."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context
from lepta.core.schema import Schema
from lepta.models.descent import fit_by_descent, objective_loss
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
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Inverse regularisation strengths tried; the best on the validation rows is kept."""


@dataclass(frozen=True)
class WeightedFitted(Fitted):
    """A model that ends in weights (columns, width) and bias (width,) over prepared columns."""

    front: Front
    task: Task
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def combine(self, others: Sequence[Fitted], weights: Sequence[float]) -> Self | None:
        kind = type(self)
        models = [self, *(other for other in others if isinstance(other, kind))]
        if len(models) <= len(others) or any(m.front is not self.front for m in models):
            return None
        pairs = list(zip(models, weights, strict=True))
        total = np.sum([share * model.weights for model, share in pairs], axis=0)
        bias = np.sum([share * model.bias for model, share in pairs], axis=0)
        return replace(self, weights=total.astype(np.float32), bias=bias.astype(np.float32))


@dataclass(frozen=True)
class LinearFitted(WeightedFitted):
    """Weights (columns, width) and bias (width,) over the prepared table."""

    strength: float
    balance: bool = False

    def refit(self, rows: Dataset, context: Context) -> LinearFitted:
        x, y = self.front.run(rows, context)[TABLE], rows.targets(self.task)
        known = row_weights(rows, self.task, balance=self.balance)
        weights, bias = fit_weights(x, y, self.task, self.strength, known)
        return replace(self, weights=weights, bias=bias)

    def raw(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return arrays[TABLE] @ self.weights + self.bias

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        return graph.op("Gemm", values[TABLE], graph.const(self.weights), graph.const(self.bias))

    def workshop(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        return {
            "workshop/linear.safetensors": save({"weights": self.weights, "bias": self.bias}),
            "workshop/recipe.json": json.dumps({"learner": "linear"}).encode(),
        }


@dataclass(frozen=True)
class Linear(Learner):
    """A linear model on standardised numbers and one-hot categories."""

    tasks: ClassVar[frozenset[str]] = VECTORS | {"ranking"}

    def unfit_for(self, schema: Schema, task: Task) -> str:
        return "" if any(f.kind in PLAIN for f in schema.inputs) else "there is no plain field"

    def fit(self, train: Dataset, valid: Dataset, task: Task, context: Context) -> LinearFitted:
        front = fit_front(train, style="dense", image=None, context=context)
        x, y = front.run(train, context)[TABLE], train.targets(task)
        xv, yv = front.run(valid, context)[TABLE], valid.targets(task)
        known = row_weights(train, task, balance=self.balance)
        watched = row_weights(valid, task, balance=False)
        strength = choose_strength((x, y, known), (xv, yv, watched), task, context)
        weights, bias = fit_weights(x, y, task, strength, known)
        return LinearFitted(front, task, weights, bias, strength, self.balance)


def choose_strength(
    train: tuple[NDArray[np.float32], NDArray[Any], NDArray[np.float64] | None],
    valid: tuple[NDArray[np.float32], NDArray[Any], NDArray[np.float64] | None],
    task: Task,
    context: Context,
) -> float:
    """Return the inverse regularisation strength that suits the validation rows best.

    ``train`` and ``valid`` are (x, y, row weights or None).
    """
    (x, y, known), (xv, yv, watched) = train, valid
    best = (np.inf, STRENGTHS[-1])
    with context.stage("linear", total=len(STRENGTHS), unit="strength") as stage:
        for strength in STRENGTHS:
            if best[0] < np.inf and context.seconds_left() <= 0:
                break
            weights, bias = fit_weights(x, y, task, strength, known)
            loss = linear_loss(xv @ weights + bias, yv, task, watched)
            stage.advance(loss=loss)
            best = min(best, (loss, strength))
    return best[1]


def fit_weights(
    x: NDArray[np.float32],
    y: NDArray[Any],
    task: Task,
    strength: float,
    rows: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit weights (columns, width) and bias (width,).

    Classification is multinomial logistic regression, regression is ridge regression on the
    standardised target; any other task minimises its own loss. ``rows`` are row weights.
    """
    if task.name not in ANSWERS:
        return fit_by_descent(x, y, task, strength, rows)
    try:
        from sklearn.linear_model import LogisticRegression, Ridge
    except ModuleNotFoundError as error:
        raise missing_extra("scikit-learn", "train", "A linear model") from error
    if not task.is_classification:
        center, scale = center_and_scale(y)
        ridge = Ridge(alpha=1.0 / strength).fit(x, (y - center) / scale, sample_weight=rows)
        weights, bias = _weights(ridge, task)
        return (weights * scale).astype(np.float32), (bias * scale + center).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=UserWarning)  # the limit of iterations is meant
        model = LogisticRegression(C=strength, max_iter=300).fit(x, y, sample_weight=rows)
    return _weights(model, task)


def linear_loss(
    raw: NDArray[Any], y: NDArray[Any], task: Task, rows: NDArray[np.float64] | None = None
) -> float:
    """Return the mean log loss, squared error, or loss of the task, of raw scores (rows, width)."""
    if task.name not in ANSWERS:
        return objective_loss(raw, y, task, rows)
    if not task.is_classification:
        return float(np.average((raw[:, 0] - y) ** 2, weights=rows))
    logits = raw - raw.max(axis=1, keepdims=True)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
    return float(np.average(losses, weights=rows))


def _weights(model: Any, task: Task) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    weights = np.atleast_2d(model.coef_).T
    bias = np.atleast_1d(model.intercept_)
    if not task.is_classification:
        return weights.astype(np.float32), bias.astype(np.float32)
    if weights.shape[1] == 1:
        weights = np.hstack([-weights / 2, weights / 2])
        bias = np.array([-bias[0] / 2, bias[0] / 2])
    full = np.zeros((weights.shape[0], task.width))
    offset = np.full(task.width, -30.0)
    full[:, model.classes_], offset[model.classes_] = weights, bias
    return full.astype(np.float32), offset.astype(np.float32)
