"""Fixtures every room's tests may use."""

import os
from pathlib import Path

import pytest

from lepta.engine import tune_process

tune_process()  # before any test imports torch: several workers share the cores


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked gpu where torch can use no CUDA device."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip(f"needs a CUDA device, which torch {torch.__version__} does not see here")


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of real data that LEPTA_SAMPLES names; skips where it is absent."""
    name = os.environ.get("LEPTA_SAMPLES", "")
    if not name or not Path(name).is_dir():
        pytest.skip("set LEPTA_SAMPLES to the folder of sample data to run this test")
    return Path(name).resolve()
