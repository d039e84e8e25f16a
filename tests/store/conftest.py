"""A store whose database is made once and copied, since MLflow needs seconds to make one."""

import shutil
from pathlib import Path

import pytest

from lepta.bundle import Bundle, Manifest, Measured, Signature
from lepta.core.events import Context, Event
from lepta.store import Store
from lepta.store.database import ensure
from lepta.tasks import Binary


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A fresh database, and the events that were reported while it was made."""
    events: list[Event] = []
    folder = tmp_path_factory.mktemp("made") / ".lepta"
    ensure(folder / "store.db", folder / "artifacts", Context(report=events.append))
    return folder / "store.db", events


@pytest.fixture
def folder(made: tuple[Path, list[Event]], tmp_path: Path) -> Path:
    """The folder of an empty store, with letters and spaces in its name."""
    folder = tmp_path / "projét mit Lücke" / ".lepta"
    folder.mkdir(parents=True)
    shutil.copy(made[0], folder / "store.db")
    return folder


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(folder)


def write_bundle(path: Path, auroc: float) -> Path:
    manifest = Manifest(
        name="small",
        created="2026-01-01T00:00:00+00:00",
        task=Binary(target="y", classes=("a", "b")),
        signature=Signature(inputs=(), tensors=(), outputs=()),
        metrics=(Measured(name="auroc", value=auroc), Measured(name="ece", value=None)),
    )
    return Bundle(manifest, {}).save(path)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "ct.lepta", 0.91)


@pytest.fixture
def better(tmp_path: Path) -> Path:
    (tmp_path / "b").mkdir()
    return write_bundle(tmp_path / "b" / "ct.lepta", 0.97)
