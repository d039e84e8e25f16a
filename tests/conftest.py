"""Fixtures every room's tests may use."""

import os
from pathlib import Path

import pytest

from lepta.engine import tune_process

tune_process()  # before any test imports torch: several workers share the cores


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of real data that LEPTA_SAMPLES names; skips where it is absent."""
    name = os.environ.get("LEPTA_SAMPLES", "")
    if not name or not Path(name).is_dir():
        pytest.skip("set LEPTA_SAMPLES to the folder of sample data to run this test")
    return Path(name).resolve()
