"""Stacking: how much each model counts, learned from raw scores of rows that it did not see.

The second level is linear, its weights are not negative and are drawn towards equal ones (Wolpert
1992; Breiman, "Stacked Regressions", 1996, on why they must not be negative). A model has one
weight for all its raw scores, so that there is little to learn and the sum is again a model that
:class:`~lepta.models.hybrid.blend.Blend` makes one graph of. Weights need not sum to 1: too sure
models are brought down, which calibrates them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context
from lepta.models.front import Front
from lepta.models.graph import Graph
from lepta.models.hybrid.blend import Blend
from lepta.models.hybrid.heldout import Ints, held_out_raw
from lepta.models.learner import ANSWERS, Fitted, center_and_scale
from lepta.models.linear import linear_loss
from lepta.tasks import Task

if TYPE_CHECKING:
    from lepta.data import Dataset

PULLS = (1.0, 0.1, 0.01, 0.001)
"""Strengths tried of the pull towards equal weights; the best on held-out rows is kept."""
_STEPS = 200
Slope = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]
"""From raw scores (rows, width) to their mean loss and its derivative by each of them."""


@dataclass(frozen=True, eq=False)
class Second:
    """A fitted second level.

    Attributes:
        weights: of the models, (models,), none negative.
        bias: added to the raw scores, (width,).
        pull: strength of the pull towards equal weights.
        raw: raw scores of the rows it was fitted on, (rows, width), each by a second level that
            was fitted on other rows: what a comparison with other models may look at.
        loss: their mean loss: log loss, squared error, or the loss of the task.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    pull: float
    raw: NDArray[np.float32]
    loss: float

    def sum(self, raws: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Return raw scores (rows, width) from those of the models."""
        return _total(np.stack(raws).astype(np.float64), self.weights, self.bias)

    def model(self, models: Sequence[Fitted]) -> Fitted:
        """Return the stack of models, in the order of the weights, as one model."""
        kept = [number for number, weight in enumerate(self.weights) if weight > 0] or [0]
        whole = Blend.of([models[n] for n in kept], [float(self.weights[n]) for n in kept])
        return Stacked(whole.front, whole.task, whole, self.bias.astype(np.float32))


def fit_second(
    raws: Sequence[NDArray[Any]],
    y: NDArray[Any],
    task: Task,
    parts: Sequence[Ints],
    rows: NDArray[np.float64] | None = None,
) -> Second:
    """Fit the second level.

    Args:
        raws: of each model, its raw scores (rows, width) of rows that it was not fitted on.
        y: targets.
        task: whose loss is minimised.
        parts: positions of the rows, each row in one part: the folds by which the second level
            itself is measured (:func:`~lepta.models.hybrid.heldout.parts_of_rows`).
        rows: row weights, or None.

    Raises:
        MissingExtraError: a package is not installed.
    """
    stacked = np.stack(raws).astype(np.float64)
    best: Second | None = None
    for pull in PULLS:

        def score(learned: Ints, held: Ints, pull: float = pull) -> NDArray[np.float32]:
            known = None if rows is None else rows[learned]
            found = _fit(stacked[:, learned], y[learned], task, known, pull)
            return _total(stacked[:, held], *found)

        raw = held_out_raw(parts, stacked.shape[1], score)
        loss = linear_loss(raw, y, task, rows)
        if best is None or loss < best.loss:
            best = Second(np.empty(0), np.empty(0), pull, raw, loss)
    assert best is not None  # noqa: S101
    weights, bias = _fit(stacked, y, task, rows, best.pull)
    return replace(best, weights=weights, bias=bias)


def _total(
    raws: NDArray[np.float64], weights: NDArray[np.float64], bias: NDArray[np.float64]
) -> NDArray[np.float32]:
    return (np.tensordot(weights, raws, 1) + bias).astype(np.float32)


def _fit(
    raws: NDArray[np.float64],
    y: NDArray[Any],
    task: Task,
    rows: NDArray[np.float64] | None,
    pull: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights (models,) and bias (width,) that minimise mean loss and pull, by L-BFGS-B."""
    try:
        from scipy.optimize import minimize
    except ModuleNotFoundError as error:
        raise missing_extra("scipy", "train", "Stacking") from error
    number = not task.is_classification and task.name in ANSWERS
    center, scale = center_and_scale(y) if number else (0.0, 1.0)
    raws, y = (raws - center) / scale, (y - center) / scale if number else y
    slope = _slope(task, y, rows)
    models, _, width = raws.shape
    equal = np.full(models, 1.0 / models)

    def objective(given: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = given[:models], given[models:]
        loss, derivative = slope(np.tensordot(weights, raws, 1) + bias)
        away = weights - equal
        by_weight = np.tensordot(raws, derivative, 2) + pull * away
        change = np.concatenate([by_weight, derivative.sum(0)])
        return loss + 0.5 * pull * float(away @ away), change

    begin = np.concatenate([equal, np.zeros(width)])
    bounds = [(0.0, None)] * models + [(None, None)] * width
    found = minimize(
        objective, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
    )
    weights, bias = found.x[:models], found.x[models:]
    return weights, bias * scale + center * (1 - weights.sum())


def _slope(task: Task, y: NDArray[Any], rows: NDArray[np.float64] | None) -> Slope:
    mass = np.ones(len(y)) if rows is None else rows
    mass = (mass / mass.sum())[:, None]
    if task.name not in ANSWERS:
        return _task_slope(task, y, mass)

    def squares(raw: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        gap = raw - y[:, None]
        return 0.5 * float((mass * gap**2).sum()), mass * gap

    def logs(raw: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = raw - raw.max(axis=1, keepdims=True)
        sums = np.exp(logits).sum(axis=1, keepdims=True)
        chosen = np.arange(len(y)), y
        losses = np.log(sums[:, 0]) - logits[chosen]
        gap = np.exp(logits) / sums
        gap[chosen] -= 1.0
        return float(mass[:, 0] @ losses), mass * gap

    return logs if task.is_classification else squares


def _task_slope(task: Task, y: NDArray[Any], mass: NDArray[np.float64]) -> Slope:
    import torch

    from lepta.tasks.objective import objective_of

    objective = objective_of(task)
    objective.fit(y)
    targets, each = objective.targets(y, np.arange(len(y))), torch.from_numpy(mass[:, 0])

    def slope(raw: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        given = torch.from_numpy(raw).requires_grad_()
        loss = (objective.losses(given, targets).double() * each).sum()
        (derivative,) = torch.autograd.grad(loss, given)
        return float(loss.detach()), derivative.numpy()

    return slope


@dataclass(frozen=True, eq=False)
class Stacked(Fitted):
    """A weighted sum of models and a bias (width,)."""

    front: Front
    task: Task
    whole: Fitted
    bias: NDArray[np.float32]

    def raw(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        return np.asarray(self.whole.raw(arrays) + self.bias, np.float32)

    def emit(self, graph: Graph, values: Mapping[str, str]) -> str:
        return graph.op("Add", self.whole.emit(graph, values), graph.const(self.bias))

    def refit(self, rows: Dataset, context: Context) -> Stacked:
        return replace(self, whole=self.whole.refit(rows, context))

    def workshop(self) -> dict[str, bytes]:
        whole = self.whole.workshop().items()
        recipe = {"learner": "stacked", "bias": self.bias.tolist(), "whole": "whole"}
        return {
            **{f"workshop/whole/{name.removeprefix('workshop/')}": data for name, data in whole},
            "workshop/recipe.json": json.dumps(recipe).encode(),
        }
