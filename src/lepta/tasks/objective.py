"""What a network minimises: the seam between a task and the training loop.

A task names its objective by an import string (``Task.objective``), so that a device that only
predicts never imports torch. An objective stands in the folder of its task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lepta.core.errors import TrainError
from lepta.tasks.base import Task


class Objective(ABC):
    """The loss of a task, row by row, and what must be known of the targets for it.

    Attributes:
        task: the task.
        focal: exponent of the focal loss; 0 is the plain loss.
        smoothing: share of each target spread over all classes.
        center: (width,) added to what the network computes, in the target's unit.
        scale: (width,) by which it is multiplied before.
        extras: which of ``focal`` and ``smoothing`` the objective knows.
        upright: whether targets lie along the axes of an image, which is then not turned.
    """

    extras: ClassVar[tuple[str, ...]] = ()
    upright: ClassVar[bool] = False

    def __init__(self, task: Task, *, focal: float = 0.0, smoothing: float = 0.0) -> None:
        for name, value in (("focal", focal), ("smoothing", smoothing)):
            if value and name not in self.extras:
                raise TrainError(
                    f"The task {task.name!r} has no loss with {name}={value:g}.",
                    fix=f"Leave {name} at 0; it is for losses over classes.",
                )
        self.task, self.focal, self.smoothing = task, focal, smoothing
        self.center, self.scale = torch.zeros(self.width(task)), torch.ones(self.width(task))

    @classmethod
    def width(cls, task: Task) -> int:
        """Return how many raw outputs a row the head of a network needs."""
        return task.raw_width

    def fit(self, y: Any) -> None:  # noqa: B027 - most objectives have nothing to learn
        """Learn from the training targets what the loss needs, such as ``center`` and ``scale``."""

    def targets(self, y: Any, rows: NDArray[np.int64]) -> Any:
        """Return the targets of the chosen rows as :meth:`losses` takes them: by default a tensor.

        ``y`` is an array with rows first, or a sequence with one item a row.
        """
        if isinstance(y, Sequence):
            return [torch.as_tensor(y[row]) for row in rows]
        return torch.from_numpy(np.ascontiguousarray(y[rows]))

    def moved(self, y: Any, theta: Tensor) -> Any:
        """Return targets to match images that were turned, scaled and shifted.

        Args:
            y: what :meth:`targets` gave.
            theta: (rows, 2, 3), the affine map from places in the new image to places in the old
                one, both in [-1, 1], as ``torch.nn.functional.affine_grid`` takes it. Targets
                that are places (masks, boxes) follow; by default they stay.
        """
        return y

    @abstractmethod
    def losses(self, raw: Any, y: Any) -> Tensor:
        """Return the loss of each row, (rows,), on the device of ``raw``.

        Args:
            raw: what the network gave, in float32: by default (rows, width).
            y: what :meth:`targets` gave, on the same device.
        """


def objective_of(task: Task, *, focal: float = 0.0, smoothing: float = 0.0) -> Objective:
    """Return the objective of a task.

    Raises:
        TrainError: the objective has no such option.
    """
    module, _, name = task.objective.partition(":")
    kind: type[Objective] = getattr(import_module(module), name)
    return kind(task, focal=focal, smoothing=smoothing)
