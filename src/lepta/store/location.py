"""Where a store is: a folder with SQLite, a database, or an MLflow server."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lepta.core.errors import StoreError

FOLDER = ".lepta"
"""Folder of the default store, in the current folder."""

DATABASE = "store.db"


@dataclass(frozen=True)
class Location:
    """The addresses that MLflow is given.

    Attributes:
        tracking: MLflow tracking URI.
        registry: MLflow registry URI.
        database: the SQLite file, None when the store is elsewhere.
        artifacts: folder of the artefacts of a SQLite store.
        downloads: folder for bundles fetched from elsewhere.
    """

    tracking: str
    registry: str
    database: Path | None
    artifacts: Path | None
    downloads: Path


def locate(uri: str | Path | None) -> Location:
    """Return the location for ``uri``: a folder, an MLflow URI, or None.

    None means ``MLFLOW_TRACKING_URI`` (and ``MLFLOW_REGISTRY_URI``) where set, else ``.lepta``.

    Raises:
        StoreError: the URI names MLflow's deprecated file store.
    """
    if uri is not None:
        return _of(str(uri), None) if _is_uri(uri) else _folder(Path(uri))
    tracking = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not tracking:
        return _folder(Path(FOLDER))
    if not _is_uri(tracking):
        raise _file_store(tracking)
    return _of(tracking, os.environ.get("MLFLOW_REGISTRY_URI", "").strip() or None)


def _is_uri(uri: str | Path) -> bool:
    return isinstance(uri, str) and ("://" in uri or uri.startswith(("file:", "databricks")))


def _folder(folder: Path) -> Location:
    folder = folder.absolute()
    database = folder / DATABASE
    address = f"sqlite:///{database}"
    return Location(address, address, database, folder / "artifacts", folder / "downloads")


def _of(tracking: str, registry: str | None) -> Location:
    if tracking.startswith("file:"):
        raise _file_store(tracking)
    database = None
    if tracking.startswith("sqlite:///") and tracking != "sqlite:///:memory:":
        database = Path(tracking.removeprefix("sqlite:///")).absolute()
        tracking = f"sqlite:///{database}"
    folder = database.parent if database else Path(FOLDER).absolute()
    artifacts = folder / "artifacts" if database else None
    return Location(tracking, registry or tracking, database, artifacts, folder / "downloads")


def _file_store(uri: str) -> StoreError:
    return StoreError(
        f"{uri!r} is an MLflow file store, which MLflow no longer develops.",
        fix="Use sqlite:///PATH/store.db or the address of an MLflow server.",
    )
