"""Paths of linear models from strong to weak penalties, each begun where the one before ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context
from lepta.models.descent import fit_by_descent
from lepta.models.learner import ANSWERS, center_and_scale
from lepta.tasks import Task

_STEPS = 150
_PATIENCE = 2
_LEAST_SHARE = 1e-4


@dataclass(frozen=True, eq=False)
class Solution:
    """Weights (columns, width) and bias (width,) under one penalty.

    Attributes:
        penalty: factor of half the squared weights, beside the mean loss of a row; a target that
            is a number has a deviation of one.
    """

    penalty: float
    weights: NDArray[Any]
    bias: NDArray[Any]

    def raw(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return raw scores (rows, width)."""
        scores: NDArray[Any] = x @ self.weights + self.bias
        return scores


def few_threads(context: Context) -> AbstractContextManager[object]:
    """Return a block in which products of matrices use no more threads than a fit may.

    Small matrices on all cores wait for each other most of the time, and for other processes.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError as error:
        raise missing_extra("scikit-learn", "train", "A linear model") from error
    limits: AbstractContextManager[object] = threadpool_limits(context.threads or 1, "blas")
    return limits


def solutions(
    x: NDArray[Any],
    y: NDArray[Any],
    task: Task,
    penalties: Sequence[float],
    rows: NDArray[np.float64] | None,
    context: Context,
) -> Iterator[Solution]:
    """Yield the linear model of each penalty, the strongest first.

    Regression is ridge regression, classification multinomial logistic regression; any other
    task minimises its own loss. The first model is always given; after that, no new one is begun
    when time is up, and the one at work ends where it is.

    Args:
        x: inputs (rows, columns).
        y: targets as the task encodes them.
        task: the task.
        penalties: see :class:`Solution`.
        rows: row weights, mean one.
        context: of the fit.
    """
    ordered = sorted(penalties, reverse=True)
    if task.name not in ANSWERS:
        path = _by_descent(x, y, task, ordered, rows)
    elif task.is_classification:
        path = _logistic(x, y, task.width, ordered, rows, context)
    else:
        path = _ridge(x, y, ordered, rows)
    for number, solution in enumerate(path):
        yield solution
        if number + 1 < len(ordered) and context.seconds_left() <= 0:
            return


def best_solution(
    path: Iterator[Solution], judge: Callable[[Solution], float]
) -> tuple[float, Solution]:
    """Return the least loss on a path, and whose it is; two steps without a better one end it."""
    best, waited = None, 0
    for solution in path:
        loss = judge(solution)
        if best is None or loss < best[0]:
            best, waited = (loss, solution), 0
        elif (waited := waited + 1) >= _PATIENCE:
            break
    assert best is not None  # noqa: S101
    return best


def _ridge(
    x: NDArray[Any], y: NDArray[Any], penalties: Sequence[float], rows: NDArray[np.float64] | None
) -> Iterator[Solution]:
    """All penalties by one eigendecomposition of the covariance."""
    center, scale = center_and_scale(y)
    mass = np.full(len(x), 1 / len(x)) if rows is None else rows / rows.sum()
    values = (y - center) / scale
    mean, level = mass @ x, float(mass @ values)
    spread = (x - mean.astype(x.dtype)) * np.sqrt(mass)[:, None].astype(x.dtype)
    powers, turn = np.linalg.eigh((spread.T @ spread).astype(np.float64))
    target = turn.T @ (spread.T @ ((values - level) * np.sqrt(mass)).astype(x.dtype))
    for penalty in penalties:
        weights = turn @ (target / (np.maximum(powers, 0) + penalty))
        bias = (level - mean @ weights) * scale + center
        yield Solution(penalty, weights[:, None] * scale, np.array([bias]))


def _logistic(
    x: NDArray[Any],
    y: NDArray[Any],
    width: int,
    penalties: Sequence[float],
    rows: NDArray[np.float64] | None,
    context: Context,
) -> Iterator[Solution]:
    """L-BFGS (Liu & Nocedal 1989); of two classes, one column is learned, and halved to each."""
    try:
        from scipy.optimize import minimize
    except ModuleNotFoundError as error:
        raise missing_extra("scipy", "train", "A linear model") from error
    basis = np.array([[-0.5, 0.5]]) if width == 2 else np.eye(width)
    free, columns = len(basis), x.shape[1]
    mass = (np.full(len(x), 1 / len(x)) if rows is None else rows / rows.sum())[:, None]
    wanted = np.zeros((len(x), width))
    wanted[np.arange(len(x)), y] = 1
    first = np.log((mass * wanted).sum(axis=0) + _LEAST_SHARE)
    place = np.zeros((columns + 1, free))
    place[-1] = first @ np.linalg.pinv(basis)

    def loss(flat: NDArray[np.float64], penalty: float) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(columns + 1, free)
        scores = (x @ weights[:-1].astype(x.dtype) + weights[-1]) @ basis
        scores -= scores.max(axis=1, keepdims=True)
        powers = np.exp(scores)
        sums = powers.sum(axis=1, keepdims=True)
        misses = np.log(sums) - scores[np.arange(len(x)), y][:, None]
        slopes = mass * (powers / sums - wanted) @ basis.T
        change = np.vstack([x.T @ slopes.astype(x.dtype), slopes.sum(axis=0)]).astype(np.float64)
        change[:-1] += penalty * weights[:-1]
        total = float((mass * misses).sum()) + penalty / 2 * float((weights[:-1] ** 2).sum())
        return total, change.ravel()

    def look(intermediate_result: Any) -> None:
        if context.seconds_left() <= 0:
            raise StopIteration

    for penalty in penalties:
        found = minimize(
            loss,
            place.ravel(),
            (penalty,),
            method="L-BFGS-B",
            jac=True,
            callback=look,
            options={"maxiter": _STEPS, "maxcor": 15, "ftol": 1e-6, "gtol": 1e-6},
        )
        place = found.x.reshape(columns + 1, free)
        yield Solution(penalty, place[:-1] @ basis, place[-1] @ basis)


def _by_descent(
    x: NDArray[Any],
    y: NDArray[Any],
    task: Task,
    penalties: Sequence[float],
    rows: NDArray[np.float64] | None,
) -> Iterator[Solution]:
    for penalty in penalties:
        strength = 1 / (penalty * len(x))
        yield Solution(penalty, *fit_by_descent(x.astype(np.float32), y, task, strength, rows))
