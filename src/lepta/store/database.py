"""Creating the SQLite database of a store, all at once or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lepta.core.errors import StoreError, Where
from lepta.core.events import Context
from lepta.store.border import border, load


def ensure(database: Path, artifacts: Path, context: Context) -> None:
    """Create ``database`` with MLflow's schema unless it exists.

    MLflow's migrations take seconds, so they run on a temporary file that then gets the final
    name; of two processes that do so at once, the first wins and the other uses its file.

    Raises:
        StoreError: the folder cannot be written, or MLflow fails.
    """
    if database.exists():
        return
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{database.name}.", suffix=".tmp", dir=database.parent
        )
    except OSError as error:
        raise StoreError(
            f"The store cannot be created: {error.strerror}.",
            where=Where(file=str(database)),
            fix="Choose another folder with `--store`, or make this one writable.",
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        with context.stage("Creating the store"), border("Creating the store"):
            _create(temporary, artifacts)
            _publish(temporary, database)
    finally:
        temporary.unlink(missing_ok=True)
        Path(f"{name}-journal").unlink(missing_ok=True)


def _create(path: Path, artifacts: Path) -> None:
    module = load("mlflow.store.tracking.sqlalchemy_store")
    store = module.SqlAlchemyStore(f"sqlite:///{path}", str(artifacts))
    store.engine.dispose()
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _publish(temporary: Path, database: Path) -> None:
    """Give the finished file its name, unless another process did so first."""
    temporary.chmod(0o644)
    try:
        os.link(temporary, database)
    except FileExistsError:
        return
    except OSError:
        if not database.exists():
            temporary.replace(database)
