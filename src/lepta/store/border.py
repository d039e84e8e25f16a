"""The border to MLflow: how it is imported, kept silent, and how its errors are mapped."""

from __future__ import annotations

import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

from lepta.core.errors import StoreError, missing_extra

T = TypeVar("T")

_SWITCHES = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_DISABLE_AGENT_HINT": "1"}
_BUSY = ("database is locked", "database table is locked")
_ATTEMPTS = 8


def load(module: str) -> Any:
    """Import a module of MLflow.

    MLflow decides while it is imported whether it will report usage to its makers and print
    hints, and environment variables are its only switches: they are set for the import alone.
    A process that imported MLflow before has decided for itself.

    Raises:
        MissingExtraError: MLflow, SQLAlchemy or Alembic is not installed.
    """
    try:
        if "mlflow" not in sys.modules:
            with environment(_SWITCHES):
                import_module("mlflow")
        return import_module(module)
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "mlflow", "store", "Keeping runs and models") from error


@contextmanager
def border(action: str) -> Iterator[None]:
    """Silence MLflow in this thread and map what it raises to :class:`StoreError`."""
    silence = load("mlflow.utils.logging_utils").suppress_logs_in_thread
    # What MLflow's code deprecates is for its makers. `catch_warnings` is not safe with threads.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"mlflow\.")
    try:
        with silence():
            yield
    except foreign() as error:
        raise StoreError(
            f"{action} failed: {_plain(error)}", fix=_remedy(str(error), error)
        ) from error


def call(action: str, function: Callable[..., T], *args: Any, **options: Any) -> T:
    """Call MLflow across the border; wait and try again while the database is locked.

    Raises:
        StoreError: MLflow failed.
    """
    for attempt in range(_ATTEMPTS):
        try:
            with border(action):
                return function(*args, **options)
        except StoreError as error:
            locked = any(word in str(error.__cause__) for word in _BUSY)
            if not locked or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.05 * 2**attempt)
    raise AssertionError("unreachable")


def code_of(error: StoreError) -> str:
    """Return MLflow's name for the failure ("RESOURCE_DOES_NOT_EXIST"), or an empty string."""
    return str(getattr(error.__cause__, "error_code", ""))


def foreign() -> tuple[type[Exception], ...]:
    """Exceptions that MLflow and what it stands on raise."""
    return (
        load("mlflow.exceptions").MlflowException,
        load("sqlalchemy.exc").SQLAlchemyError,
        OSError,
    )


def _plain(error: Exception) -> str:
    text = " ".join(str(error).split())
    return re.sub(r"\s*\(Background on this error at: \S+\)", "", text)[:400]


def _remedy(text: str, error: Exception) -> str | None:
    if "out-of-date database schema" in text or "Can't locate revision" in text:
        return (
            "Another version of MLflow wrote this database: install that version, or back the "
            "file up and run `mlflow db upgrade` (it comes with the full package `mlflow`)."
        )
    if "not a database" in text or "malformed" in text:
        return "The database file is damaged: restore it from a backup, or move it away."
    if "Max retries exceeded" in text or isinstance(error, ConnectionError):
        return "Is the MLflow server running, and is its address right?"
    return None


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables for the block only: where MLflow offers no other switch."""
    old = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
