"""A Keras 3 model on the torch backend, which is a torch module, inside Lepta's loop."""

from __future__ import annotations

import copy
import random
import warnings
from typing import Any

import keras
import torch
from torch import Tensor, nn

from lepta.core.errors import ConfigError
from lepta.models.custom.adapted import Adapted, Outputs, expected
from lepta.models.custom.given import called, require_torch_backend
from lepta.tasks import Task

_FINAL = ("sigmoid", "softmax")
_CLASSES = frozenset(
    {
        "binary_crossentropy",
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "binary_focal_crossentropy",
        "categorical_focal_crossentropy",
    }
)
_NUMBERS = frozenset({"mse", "mean_squared_error"})
_ALIKE = ("adam", "adamw")
"""Optimisers that the loop's AdamW is, with a weight decay of zero or more."""
_UNHEEDED = {
    "clipnorm": None, "global_clipnorm": None, "clipvalue": None, "use_ema": False,
    "gradient_accumulation_steps": None, "amsgrad": False, "beta_1": 0.9, "beta_2": 0.999,
}  # fmt: skip
"""Options of optimisers that the loop does not take over, as they are by default."""


class KerasBody(nn.Module):
    """A Keras model that takes images channels first, and trains when the module does."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        formats = {getattr(layer, "data_format", None) for layer in _layers(model)}
        self.last = "channels_first" not in formats

    def forward(self, *arrays: Tensor) -> Tensor:
        fed = [a.permute(0, 2, 3, 1) if a.ndim == 4 and self.last else a for a in arrays]
        with keras.device(str(arrays[0].device)):
            scores: Tensor = self.model(fed[0] if len(fed) == 1 else fed, training=self.training)
        return scores


def adapt_keras(model: Any, task: Task, outputs: Outputs) -> Adapted:
    """Return a copy of a Keras model, its final sigmoid or softmax taken off, ready to train.

    Raises:
        ConfigError: Keras computes by another library, or the compiled loss is not the task's.
    """
    require_torch_backend()
    wishes = compiled(model, task)
    copied = _copy(model)
    bare = outputs != "logits" and task.bounded and _take_off(copied)
    if outputs == "auto" and _says_probabilities(model):
        outputs = "probabilities"
    return Adapted(
        KerasBody(copied),
        task,
        probabilities=expected(task, outputs, bare=bare),
        factor=255.0 if _rescales(copied) else 1.0,
        wishes=wishes,
    )


def compiled(model: Any, task: Task) -> dict[str, float]:
    """Return what ``model.compile`` said, as options of the loop; nothing where it was not called.

    Raises:
        ConfigError: the loss is not one for the task, or the optimiser is not the loop's.
    """
    if not getattr(model, "compiled", False):
        return {}
    loss, optimiser = getattr(model, "loss", None), getattr(model, "optimizer", None)
    name = _loss_name(loss)
    known = _CLASSES if task.bounded else _NUMBERS
    if name and name not in known:
        raise ConfigError(
            f"{called(model)} is compiled with the loss {name!r}, and the task is {task.name}.",
            fix=f"Compile it with one of {', '.join(sorted(known))}, or give it uncompiled.",
        )
    said = {
        "weight_decay": float(getattr(optimiser, "weight_decay", None) or 0.0),
        "focal": float(getattr(loss, "gamma", 2.0)) if "focal" in name else 0.0,
        "smoothing": float(getattr(loss, "label_smoothing", 0.0) or 0.0),
    }
    if optimiser is not None:
        said["learning_rate"] = _rate(optimiser, called(model))
    return said


def _rate(optimiser: Any, name: str) -> float:
    """Return the learning rate of an optimiser that the loop's can stand for.

    Raises:
        ConfigError: it cannot: it would train otherwise than it was told, without a word.
    """
    odd = [key for key, usual in _UNHEEDED.items() if getattr(optimiser, key, usual) != usual]
    schedules = keras.optimizers.schedules.LearningRateSchedule
    if isinstance(getattr(optimiser, "_learning_rate", None), schedules):
        odd.append("a schedule of the learning rate")
    kind = type(optimiser).__name__
    if kind.lower() not in _ALIKE or odd:
        what = f"{kind} with {', '.join(odd)}" if odd else kind
        raise ConfigError(
            f"{name} is compiled with {what}; networks are trained with AdamW.",
            fix="Compile it with a plain Adam or AdamW, or give it uncompiled; schedule, clipping "
            "and averages are options of the loop: settings={'loop.schedule': ...}.",
        )
    rate: Any = optimiser.learning_rate
    return float(getattr(rate, "value", rate))


def image_size(model: Any) -> int | None:
    """Return the height and width that a built model takes, or None where it takes any.

    Raises:
        ConfigError: they differ.
    """
    if not getattr(model, "built", False):
        return None
    shape = getattr(model, "input_shape", None)
    shapes = [shape] if isinstance(shape, tuple) else list(shape or [])
    for one in shapes:
        if len(one) == 4 and None not in one[1:]:
            sides = one[1:3] if KerasBody(model).last else one[2:4]
            if sides[0] != sides[1]:
                raise ConfigError(
                    f"{called(model)} takes {sides[0]} x {sides[1]} pixels.",
                    fix="Give a model for square images; Lepta resizes to squares.",
                )
            return int(sides[0])
    return None


def _copy(model: Any) -> Any:
    """Return a model with the same layers and, where it is built, the same weights.

    Keras draws seeds from Python's random numbers, which are put back as they were.
    """
    state = random.getstate()
    random.seed(torch.initial_seed())
    try:
        with warnings.catch_warnings():  # Keras converts its own variables in an old way
            warnings.simplefilter("ignore")
            if not (isinstance(model, keras.Sequential) or hasattr(model, "_nodes")):
                return copy.deepcopy(model)
            copied = keras.models.clone_model(model)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ConfigError(
            f"Keras cannot copy {called(model)}: {error}",
            fix="Give a function that returns a new model, or write get_config and from_config.",
        ) from error
    finally:
        random.setstate(state)
    if model.built and copied.built:
        for new, old in zip(copied.variables, model.variables, strict=True):
            new.assign(old.value)
    return copied


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers()) if hasattr(model, "_flatten_layers") else []


def _last_layer(model: Any) -> Any:
    outputs = getattr(model, "outputs", None)
    if outputs and len(outputs) == 1:
        return outputs[0]._keras_history.operation
    layers = getattr(model, "layers", None) or [None]
    return layers[-1] if isinstance(model, keras.Sequential) else None


def _take_off(model: Any) -> bool:
    """Make the last layer's sigmoid or softmax the identity; return whether there was one."""
    layer = _last_layer(model)
    activation = getattr(layer, "activation", None)
    if activation not in [getattr(keras.activations, name) for name in _FINAL]:
        return False
    layer.activation = keras.activations.linear
    return True


def _says_probabilities(model: Any) -> bool:
    """Whether the compiled loss takes probabilities."""
    loss = getattr(model, "loss", None) if getattr(model, "compiled", False) else None
    return _loss_name(loss) in _CLASSES and not getattr(loss, "from_logits", False)


def _loss_name(loss: Any) -> str:
    if loss is None or isinstance(loss, str):
        return loss or ""
    return str(getattr(loss, "name", "") or getattr(loss, "__name__", ""))


def _rescales(model: Any) -> bool:
    """Whether the model divides pixels itself, and so expects them up to 255."""
    kinds = [layer for layer in _layers(model) if isinstance(layer, keras.layers.Rescaling)]
    scales = [float(layer.scale) for layer in kinds if isinstance(layer.scale, int | float)]
    return any(scale <= 1 / 100 for scale in scales)
