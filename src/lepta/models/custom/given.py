"""Which learner takes a model that somebody brings; no heavy library is imported to tell."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from lepta.core.errors import ConfigError, Where, suggest

_KNOWN = (
    "a torch nn.Module, a Keras 3 model on the torch backend, a scikit-learn estimator, or a "
    "function that returns one of them"
)

_PREFIX = "lepta_model_"
"""How the modules of files begin, by which models that other processes are given are found."""


def learner_for(model: Any) -> str:
    """Return the name of the learner that takes ``model``: torch, keras or sklearn.

    A function counts as torch; what it returns is looked at when it is called.

    Raises:
        ConfigError: there is no learner for it; the remedy is named.
    """
    if isinstance(model, str) and model.endswith(".onnx"):
        raise ConfigError(
            "An ONNX file is trained already.",
            fix=f"Import it: lepta import {model} --schema schema.yaml -o NAME.lepta",
        )
    if isinstance(model, str):
        model = load_model(model)
    if is_keras(model):
        require_torch_backend()
        return "keras"
    if _has_base(model, ("torch.nn.",)):
        return "torch"
    if all(hasattr(model, name) for name in ("fit", "predict", "get_params")):
        if isinstance(model, type):
            raise ConfigError(
                f"{model.__name__} is a class.", fix=f"Give an estimator: {model.__name__}()."
            )
        return "sklearn"
    if callable(model) and not isinstance(model, type):
        return "torch"
    raise ConfigError(f"There is no learner for {called(model)}.", fix=f"model= takes {_KNOWN}.")


def is_keras(model: Any) -> bool:
    """Whether ``model`` is a Keras model (or class of one), of whatever backend."""
    return _has_base(model, ("keras.", "tf_keras."))


def require_torch_backend() -> None:
    """Refuse Keras where it computes by another library than torch.

    Raises:
        ConfigError: Keras was imported with another backend, or is not Keras 3.
    """
    keras: Any = sys.modules.get("keras")
    if keras is None:
        raise ConfigError(
            "The model is one of Keras 2 (tf_keras).",
            fix="Build it with Keras 3 and KERAS_BACKEND=torch, or convert it with tf2onnx and "
            "use `lepta import`.",
        )
    backend = keras.config.backend()
    if backend != "torch":
        raise ConfigError(
            f"Keras was imported with the backend {backend!r}; Lepta trains it on torch.",
            fix='Set KERAS_BACKEND=torch before Keras is imported: os.environ["KERAS_BACKEND"] = '
            '"torch" as the first line of the program, or KERAS_BACKEND=torch in front of the '
            "command. A model trained on another backend can be saved there and loaded here.",
        )


def load_model(text: str) -> Any:
    """Return what "file.py:name" or "package.module:name" names.

    The file is run, so it must be one's own. Keras, where it imports it, gets the torch backend.

    Raises:
        ConfigError: there is no such file, module or name.
    """
    if text.startswith("<"):
        raise ConfigError(
            f"The model was an object that is not kept: {text}", fix="Give it again with model=."
        )
    place, _, name = text.rpartition(":")
    where = Where(file=place) if place.endswith(".py") else None
    if not place or not name:
        raise ConfigError(
            f"{text!r} names no model.", fix="Write FILE.py:NAME or PACKAGE.MODULE:NAME."
        )
    with _keras_on_torch():
        module = _run_file(Path(place), text) if place.endswith(".py") else _import(place, text)
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise ConfigError(
            f"{place} has no {name!r}.{suggest(name, public)}",
            where=where,
            fix="Name a model, a class of one, or a function that returns one.",
        )
    return getattr(module, name)


def _import(name: str, text: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        raise ConfigError(
            f"There is no module {name!r}.", fix=f"Check --model {text}, or PYTHONPATH."
        ) from error


def _run_file(path: Path, text: str) -> Any:
    if not path.is_file():
        raise ConfigError(
            "There is no such file.", where=Where(file=str(path)), fix=f"Check --model {text}."
        )
    name = f"{_PREFIX}{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError("This is not a Python file.", where=Where(file=str(path)))
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Sources:
    """The files that models were loaded from here; where it is unpickled, they are loaded too."""

    def __reduce__(self) -> tuple[Any, ...]:
        found = {
            name: str(Path(str(module.__file__)).absolute())
            for name, module in sys.modules.items()
            if name.startswith(_PREFIX) and getattr(module, "__file__", None)
        }
        return _load_sources, (found,)


def _load_sources(files: dict[str, str]) -> Sources:
    with _keras_on_torch():
        for name, path in files.items():
            if name not in sys.modules:
                _run_file(Path(path), path)
    return Sources()


@contextmanager
def _keras_on_torch() -> Iterator[None]:
    """Choose the torch backend for a Keras that is imported inside."""
    if "KERAS_BACKEND" in os.environ or "keras" in sys.modules:
        yield
        return
    os.environ["KERAS_BACKEND"] = "torch"
    try:
        yield
    finally:
        del os.environ["KERAS_BACKEND"]


def called(model: Any) -> str:
    """Return how messages name a model: its words, or the name of its class."""
    if isinstance(model, str):
        return model
    return str(getattr(model, "__qualname__", "") or type(model).__qualname__)


def summary(model: Any) -> str:
    """Return how records name a model: "module:name", in angle brackets where it is an object.

    A class and a function can be found again by their names, an object cannot.
    """
    if isinstance(model, str):
        return model
    if hasattr(model, "__qualname__"):
        return f"{model.__module__}:{model.__qualname__}"
    return f"<{type(model).__module__}:{type(model).__qualname__}>"


def _has_base(model: Any, prefixes: tuple[str, ...]) -> bool:
    kind = model if isinstance(model, type) else type(model)
    return any(base.__module__.startswith(prefixes) for base in kind.__mro__)
