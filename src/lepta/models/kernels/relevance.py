"""How much each column counts in a distance, learned from targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.core.events import Context
from lepta.models.kernels.landmarks import median_distance, squared_distances
from lepta.tasks import Task

_ROWS = 400
_STEPS = 40
_JITTER = 1e-5
_BEGIN = np.log([0.7, 0.3, 0.3])
"""Variances at the start: of the kernel, of noise, of the linear part."""
_LOOSE = 9.0
"""Prior variance of the logarithms of these."""


def relevances(
    x: NDArray[np.float32], y: NDArray[Any], task: Task, context: Context
) -> NDArray[np.float32]:
    """Return what each column is multiplied by before distances (columns,).

    Automatic relevance determination (MacKay 1994; Rasmussen & Williams 2006, section 5.1): the
    lengths of a Gaussian kernel, beside a linear one and noise, that make the targets of some
    rows likeliest under a Gaussian process; classes are targets of 0 and 1. A normal prior of
    deviation one on the logarithms of the scales keeps columns alike where rows are few.

    Args:
        x: prepared inputs (rows, columns).
        y: targets of the task "binary", "multiclass" or "regression".
        task: the task.
        context: seed and deadline; the search ends where it is when time is up.
    """
    try:
        from scipy.optimize import minimize
    except ModuleNotFoundError as error:
        raise missing_extra("scipy", "train", "A kernel model") from error
    rng = np.random.default_rng(context.seed)
    chosen = np.sort(rng.choice(len(x), min(_ROWS, len(x)), replace=False))
    evidence = _Evidence(x[chosen].astype(np.float64), _outputs(y[chosen], task))

    def look(intermediate_result: Any) -> None:
        if context.seconds_left() <= 0:
            raise StopIteration

    begin = np.concatenate([np.zeros(x.shape[1]), _BEGIN])
    found = minimize(
        evidence, begin, method="L-BFGS-B", jac=True, callback=look, options={"maxiter": _STEPS}
    )
    return evidence.scales(found.x).astype(np.float32)


def _outputs(y: NDArray[Any], task: Task) -> NDArray[np.float64]:
    """Return targets (rows, outputs) of mean zero and deviation one."""
    wide = np.eye(task.width)[y] if task.is_classification else y[:, None].astype(np.float64)
    spread = wide.std(axis=0)
    kept = spread > 0
    if not kept.any():
        return np.zeros((len(y), 1))
    return np.asarray((wide[:, kept] - wide[:, kept].mean(axis=0)) / spread[kept])


class _Evidence:
    """Minus the logarithm of the marginal likelihood and of the prior, with its slope."""

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self.x, self.y = x, y
        self.start = -np.log(median_distance(x.astype(np.float32)))
        self.linear = x @ x.T / x.shape[1]
        self.eye = np.eye(len(x))

    def scales(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        scales: NDArray[np.float64] = np.exp(self.start + place[: self.x.shape[1]])
        return scales

    def __call__(self, place: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        from scipy.linalg import cho_factor, cho_solve

        columns, outputs = self.x.shape[1], self.y.shape[1]
        scaled = self.x * self.scales(place)
        size, noise, slope = np.exp(np.clip(place[columns:], -20, 20))
        kernel = np.exp(-squared_distances(scaled, scaled) / 2)
        covariance = size * kernel + slope * self.linear + (noise + _JITTER) * self.eye
        factor = cho_factor(covariance, lower=True)
        inverse = cho_solve(factor, self.eye)
        answer = inverse @ self.y
        value = (self.y * answer).sum() / outputs / 2 + np.log(np.diag(factor[0])).sum()
        # Derivative by the covariance, then by squared distances, then by each scale.
        by = (inverse - answer @ answer.T / outputs) / 2
        apart = -by * kernel * size / 2
        squares = (scaled * scaled).T @ apart.sum(axis=1) - (scaled * (apart @ scaled)).sum(axis=0)
        rest = [(by * kernel).sum() * size, np.trace(by) * noise, (by * self.linear).sum() * slope]
        moved = place - np.concatenate([np.zeros(columns), _BEGIN])
        tight = np.concatenate([np.ones(columns), np.full(3, 1 / _LOOSE)])
        change = np.concatenate([4 * squares, rest]) + moved * tight
        return float(value + (moved**2 * tight).sum() / 2), change
