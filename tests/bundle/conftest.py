"""What the tests of bundles share."""

from pathlib import Path

import pytest

from lepta.bundle import Bundle, Manifest, Signature
from lepta.tasks import Binary

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Path:
    """Path of the bundle that was written by protocol 1."""
    return GOLDEN / "v1.lepta"


@pytest.fixture(scope="session")
def bundle(golden: Path) -> Bundle:
    """A small real bundle."""
    return Bundle.load(golden)


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    """The shortest manifest."""
    return Manifest(
        name="small",
        created="2026-01-01T00:00:00+00:00",
        task=Binary(target="y", classes=("a", "b")),
        signature=Signature(inputs=(), tensors=(), outputs=()),
    )
