"""Somebody's network as Lepta's loop and graph take it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lepta.core.errors import ConfigError, TrainError, suggest
from lepta.models.custom.given import called, is_keras, load_model
from lepta.tasks import Task

Outputs = Literal["auto", "logits", "probabilities"]
_LEAST = 1e-7
"""Smallest probability told from zero."""
_OFFERED = ("shapes", "width", "task")
_DEPENDENT = 1e-3
"""Largest change of a row's output, over the largest output, that other rows may make."""
_RESHAPING = (
    "Squeeze", "Unsqueeze", "View", "UnsafeView", "ReshapeAlias", "Alias", "Clone", "ToCopy",
    "Select", "Slice", "Permute", "Transpose", "T",
)  # fmt: skip
"""What torch calls steps that leave values as they are."""


class Adapted(nn.Module):
    """A network whose output becomes raw scores (rows, width) of a task.

    One column for two classes becomes two; probabilities become logits; a number is brought to
    the target's unit by ``scale`` and ``center``.

    Args:
        body: takes one tensor a prepared array, in the order of the front.
        task: what is predicted.
        probabilities: whether the body ends in probabilities; None until :func:`try_out` looked.
        factor: what images are multiplied by before the body sees them.
        wishes: options of the training loop that come with the network.
    """

    center: Tensor
    scale: Tensor

    def __init__(
        self,
        body: nn.Module,
        task: Task,
        *,
        probabilities: bool | None = False,
        factor: float = 1.0,
        wishes: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.body, self.wishes = body, dict(wishes or {})
        self.width, self.exclusive = task.raw_width, _are_exclusive(task)
        self.probabilities, self.factor = probabilities, factor
        self.register_buffer("center", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))

    def forward(self, *arrays: Tensor) -> Tensor:
        return self.columns(*arrays) * self.scale + self.center

    def columns(self, *arrays: Tensor) -> Tensor:
        """Return raw scores (rows, width) before they are brought to the target's unit."""
        raw = self.output(*arrays)
        if self.probabilities:
            raw = self._logits(raw)
        if self.exclusive and self.width == 2 and raw.shape[1] == 1:
            raw = torch.cat([-raw / 2, raw / 2], 1)
        return raw

    def output(self, *arrays: Tensor) -> Tensor:
        """Return what the body gives, as a matrix."""
        fed = [a * self.factor if a.ndim == 4 and self.factor != 1.0 else a for a in arrays]
        raw: Tensor = self.body(*fed)
        return raw.reshape(-1, 1) if raw.ndim < 2 else raw

    def _logits(self, probabilities: Tensor) -> Tensor:
        """Return logits: of a softmax where classes exclude each other, else of each column.

        In float32, for in bfloat16 the largest probability below one would be one.
        """
        inner = probabilities.float().clamp(_LEAST, 1 - _LEAST)
        if self.exclusive and inner.shape[1] > 1:
            return torch.log(inner)
        return torch.log(inner) - torch.log1p(-inner)


def _are_exclusive(task: Task) -> bool:
    """Whether raw scores are logits of a softmax: one a class, of which one is right."""
    return task.is_classification and task.raw_width == task.width


def adapt(
    model: Any,
    shapes: Mapping[str, tuple[int, ...]],
    task: Task,
    outputs: Outputs = "auto",
    arguments: Mapping[str, Any] | None = None,
) -> Adapted:
    """Return a copy of ``model`` that is ready to be trained.

    Args:
        model: a torch module, a Keras model, a class of one, a function that returns one, or
            "file.py:name". Classes and functions are given those of ``shapes`` (the prepared
            arrays, rows left out), ``width`` (columns of the raw scores) and ``task`` that they
            have parameters for.
        shapes: of the prepared arrays, rows first, in the order in which they are given.
        task: what is predicted.
        outputs: whether it ends in logits or probabilities; "auto" looks, see :func:`try_out`.
        arguments: what else a class or function is given, by name.

    Raises:
        ConfigError: it cannot be built, or is no network.
    """
    given = load_model(model) if isinstance(model, str) else model
    module = _built(given, shapes, task, arguments or {})
    if is_keras(module):
        from lepta.models.custom.kerasmodel import adapt_keras

        return adapt_keras(module, task, outputs)
    if not isinstance(module, nn.Module):
        raise ConfigError(
            f"{called(model)} gives {called(module)}, which is no network.",
            fix="Return a torch nn.Module or a Keras model; estimators are given as they are.",
        )
    body, bare = (module, False) if outputs == "logits" else _without_activation(module)
    return Adapted(body, task, probabilities=expected(task, outputs, bare=bare))


def expected(task: Task, outputs: Outputs, *, bare: bool) -> bool | None:
    """Return whether a body ends in probabilities, None where that is still to be looked at.

    Args:
        task: what is predicted.
        outputs: what was said of it.
        bare: whether its last activation was taken off.
    """
    if bare or not task.bounded or outputs == "logits":
        return False
    return True if outputs == "probabilities" else None


def _built(
    model: Any,
    shapes: Mapping[str, tuple[int, ...]],
    task: Task,
    arguments: Mapping[str, Any],
) -> Any:
    built = isinstance(model, nn.Module) or not callable(model)
    if built and arguments:
        raise ConfigError(
            f"{called(model)} is built already, and takes no arguments.",
            fix="Give the class, or a function that returns the network.",
        )
    if built:
        return (
            copy.deepcopy(model) if isinstance(model, nn.Module) and not is_keras(model) else model
        )
    offered: dict[str, Any] = {
        "shapes": {name: shape[1:] for name, shape in shapes.items()},
        "width": task.raw_width,
        "task": task,
        **arguments,
    }
    parameters = inspect.signature(model).parameters.values()
    _require_parameters(model, arguments, [p.name for p in parameters])
    needed = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if unknown := [name for name in needed if name not in offered]:
        raise ConfigError(
            f"{called(model)} needs {', '.join(map(repr, unknown))}, which Lepta does not know.",
            fix=f"Give defaults to all parameters but {', '.join(_OFFERED)}, or give a model "
            "that is built.",
        )
    given = {p.name: offered[p.name] for p in parameters if p.name in offered}
    return model(**given)


def _require_parameters(model: Any, arguments: Mapping[str, Any], known: list[str]) -> None:
    for name in arguments:
        if name not in known:
            raise ConfigError(
                f"{called(model)} has no parameter {name!r}.{suggest(name, known)}",
                fix=f"Its parameters are: {', '.join(known) or 'none'}.",
            )


def _without_activation(module: nn.Module) -> tuple[nn.Module, bool]:
    """Return a sequence of layers without the sigmoid or softmax at its end, and whether it had."""
    if type(module) is nn.Sequential and isinstance(module[-1], nn.Sigmoid | nn.Softmax):
        return module[:-1], True
    return module, False


def try_out(network: Adapted, arrays: Sequence[Any], task: Task, model: Any) -> None:
    """Run a few rows through, so that what does not fit is told before training.

    Where it is not known yet whether the network ends in probabilities, this is settled: by the
    last step that gave them, or by rows that sum to one.

    Args:
        network: the adapted network.
        arrays: a few rows of each prepared array.
        task: what is predicted.
        model: what was given, for messages.

    Raises:
        TrainError: the network refuses the arrays, gives something else than raw scores, or
            answers a row by the rows beside it.
    """
    network.eval()
    tensors = [torch.tensor(array) for array in arrays]
    shapes = ", ".join(str(tuple(array.shape)) for array in arrays)
    try:
        if network.probabilities is None:
            network.probabilities = _gives_probabilities(network, tensors)
        with torch.no_grad():
            raw = network.columns(*tensors)
            rows = [network.columns(*[t[n : n + 1] for t in tensors]) for n in range(len(raw))]
    except Exception as error:
        raise TrainError(
            f"{called(model)} refuses the prepared arrays of shape {shapes}: {error}",
            fix="Images come as (rows, channels, size, size) in [0, 1] (a Keras model gets "
            "channels last); set their size with settings={'size': ...}. One row must do too.",
        ) from error
    wanted = (len(arrays[0]), task.raw_width)
    if tuple(raw.shape) != wanted:
        raise TrainError(
            f"{called(model)} gives an output of shape {tuple(raw.shape)}; the task "
            f"{task.name!r} needs {wanted}.",
            fix="End in one raw score a class (or one column for two classes), without softmax.",
        )
    if not bool(torch.isfinite(raw).all()):
        raise TrainError(f"{called(model)} gives values that are not numbers.")
    if float((raw - torch.cat(rows)).abs().max()) > _DEPENDENT * max(1.0, float(raw.abs().max())):
        raise TrainError(
            f"{called(model)} answers a row otherwise when it is alone than among others.",
            fix="Let nothing be random or taken from the batch once the module is in eval(): "
            "batch normalisation keeps track_running_stats=True, dropout heeds self.training.",
        )


def _gives_probabilities(network: Adapted, tensors: Sequence[Tensor]) -> bool:
    fed = [t.clone().requires_grad_() if t.is_floating_point() else t for t in tensors]
    with torch.enable_grad():
        raw = network.output(*fed)
    step = raw.grad_fn
    while step is not None and step.name().split("Backward")[0] in _RESHAPING:
        step = step.next_functions[0][0]
    if step is not None and step.name() in ("SigmoidBackward0", "SoftmaxBackward0"):
        return True
    found = raw.detach().float()
    summing = network.exclusive and found.shape[1] > 1 and bool((found >= 0).all())
    return summing and bool(torch.allclose(found.sum(1), torch.ones(len(found)), atol=1e-5))
