"""What networks minimise."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from lepta.core.errors import TrainError
from lepta.models.descent import objective_loss
from lepta.tasks import Binary, Multiclass, Multilabel, Ordinal, Quantile, Regression, Task
from lepta.tasks.objective import objective_of

TASK = Multiclass(target="t", classes=("a", "b", "c"))
RAW = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.5, 0.0], [-3.0, 1.0, 0.0]])
Y = torch.tensor([0, 2, 1])


def test_importing_tasks_imports_no_torch() -> None:
    code = "import lepta.tasks, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cross_entropy_is_minus_the_log_of_the_probability_of_the_class() -> None:
    wanted = -torch.log(torch.softmax(RAW, 1)[torch.arange(3), Y])
    torch.testing.assert_close(objective_of(TASK).losses(RAW, Y), wanted)


def test_focal_loss_gives_the_certain_rows_less_weight() -> None:
    right = torch.softmax(RAW, 1)[torch.arange(3), Y]
    torch.testing.assert_close(
        objective_of(TASK, focal=2.0).losses(RAW, Y), -((1 - right) ** 2) * torch.log(right)
    )


def test_smoothing_spreads_a_share_of_the_target() -> None:
    wanted = torch.full((3, 3), 0.3 / 3)
    wanted[torch.arange(3), Y] += 0.7
    torch.testing.assert_close(
        objective_of(TASK, smoothing=0.3).losses(RAW, Y),
        functional.cross_entropy(RAW, wanted, reduction="none"),
    )


def test_squared_error_counts_in_spreads_of_the_target() -> None:
    objective = objective_of(Regression(target="t"))
    y = np.array([10.0, 20.0, 30.0])
    objective.fit(y)
    assert objective.center.item() == pytest.approx(20.0)
    assert objective.scale.item() == pytest.approx(y.std())
    targets = objective.targets(y, np.array([2, 0]))
    losses = objective.losses(torch.tensor([[30.0], [10.0 + float(y.std())]]), targets)
    torch.testing.assert_close(losses, torch.tensor([0.0, 1.0]))


def test_an_option_that_a_loss_has_not_is_refused() -> None:
    with pytest.raises(TrainError, match=r"'regression' has no loss with focal=2"):
        objective_of(Regression(target="t"), focal=2.0)


def test_targets_of_any_number_of_axes_are_taken_by_row() -> None:
    objective = objective_of(Binary(target="t", classes=("no", "yes")))
    masks = np.arange(24).reshape(3, 2, 4)
    rows = np.array([2, 0])
    assert objective.targets(masks, rows).tolist() == masks[rows].tolist()
    boxes = [np.zeros((n, 4), np.float32) for n in range(3)]
    assert [len(item) for item in objective.targets(boxes, rows)] == [2, 0]


@pytest.mark.parametrize(
    ("task", "target"),
    [
        (TASK, torch.int64),
        (Ordinal(target="t", classes=("a", "b", "c")), torch.int64),
        (Regression(target="t"), torch.float64),
        (Quantile(target="t"), torch.float64),
        (Multilabel(target="t", classes=("a", "b")), torch.float32),
    ],
)
def test_a_loss_is_computed_where_the_scores_are(task: Task, target: torch.dtype) -> None:
    shape = (4, task.width) if isinstance(task, Multilabel) else (4,)
    y = torch.zeros(shape, dtype=target, device="meta")
    losses = objective_of(task).losses(torch.zeros(4, task.raw_width, device="meta"), y)
    assert losses.device.type == "meta"
    assert losses.shape == (4,)


def test_the_strength_of_a_linear_model_is_chosen_alike_in_any_unit() -> None:
    rng = np.random.default_rng(0)
    y, task = rng.normal(size=200), Quantile(target="t", quantiles=(0.5,))
    raw = np.stack([y + rng.normal(size=200) * noise for noise in (0.01, 0.1)])[..., None]
    losses = [[objective_loss(one * unit, y * unit, task) for one in raw] for unit in (1, 1e-4)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
