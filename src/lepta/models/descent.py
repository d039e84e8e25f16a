"""Linear models of any task whose raw scores are a vector a row: its own loss, minimised."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.tasks import Task

_STEPS = 300
_LEAST_CHANGE = 1e-7


def fit_by_descent(
    x: NDArray[np.float32],
    y: NDArray[Any],
    task: Task,
    strength: float,
    rows: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit weights (columns, width) and bias (width,) by L-BFGS (Liu & Nocedal 1989).

    What is minimised is the mean of the task's objective and an L2 penalty on the weights, as in
    logistic regression of the inverse strength ``strength``, in units of the target's spread.

    Args:
        x: prepared inputs (rows, columns), dense or a sparse array of SciPy.
        y: targets as the task encodes them.
        task: the task; its objective takes raw scores (rows, width).
        strength: inverse strength of regularisation.
        rows: row weights.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise missing_extra("torch", "train", "A linear model of this task") from error
    from lepta.tasks.objective import objective_of

    objective = objective_of(task)
    objective.fit(y)
    center, scale = objective.center.double(), objective.scale.double()
    inputs, count = _tensor(x), int(x.shape[0])
    targets = objective.targets(y, np.arange(count))
    mass = torch.ones(count, dtype=torch.float64) if rows is None else torch.from_numpy(rows)
    mass = mass / mass.sum()
    weights = torch.zeros(x.shape[1], len(center), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(center), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [weights, bias],
        max_iter=_STEPS,
        tolerance_change=_LEAST_CHANGE,
        line_search_fn="strong_wolfe",
    )

    def loss() -> torch.Tensor:
        search.zero_grad()
        raw = (inputs @ weights + bias) * scale + center
        fit = (objective.losses(raw, targets).double() * mass).sum()
        total = fit + 0.5 * weights.square().sum() / (strength * count)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    search.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        weights, bias = weights * scale, bias * scale + center
    return weights.numpy().astype(np.float32), bias.numpy().astype(np.float32)


def _tensor(x: Any) -> Any:
    """Return a matrix, dense or sparse, as a tensor of float64."""
    import torch

    if isinstance(x, np.ndarray):
        return torch.from_numpy(np.asarray(x, np.float64))
    rows = x.tocsr().astype(np.float64)
    with warnings.catch_warnings():  # sparse tensors of rows are called new
        warnings.simplefilter("ignore", category=UserWarning)
        return torch.sparse_csr_tensor(rows.indptr, rows.indices, rows.data, rows.shape)


def objective_loss(
    raw: NDArray[Any], y: NDArray[Any], task: Task, rows: NDArray[np.float64] | None = None
) -> float:
    """Return the mean loss of raw scores (rows, width), in units of the target's spread."""
    import torch

    from lepta.tasks.objective import objective_of

    objective = objective_of(task)
    objective.fit(y)
    targets = objective.targets(y, np.arange(len(raw)))
    losses = objective.losses(torch.from_numpy(np.asarray(raw, np.float64)), targets)
    return float(np.average(losses.numpy(), weights=rows))
