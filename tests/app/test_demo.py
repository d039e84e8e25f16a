"""`lepta demo`: the whole road on the user's own data."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def _demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lepta.app.cli", "demo", *words, "--budget", "20s"]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)


def _table(path: Path, target: str) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=150)
    rows = [f"{a},{'yes' if a > 0 else 'no'}" for a in x]
    path.write_text("\n".join([f"x,{target}", *rows]) + "\n")
    return path


@pytest.mark.slow
def test_own_data_is_fitted_served_and_asked(tmp_path: Path) -> None:
    done = _demo(tmp_path, str(_table(tmp_path / "labels.csv", "label")))
    assert done.returncode == 0, done.stderr
    assert "'label' is taken" in done.stdout
    assert "service stopped cleanly (exit status 0)" in done.stdout
    assert list((tmp_path / "demo").glob("*.lepta"))


def test_an_unclear_target_is_asked_for(tmp_path: Path) -> None:
    done = _demo(tmp_path, str(_table(tmp_path / "labels.csv", "state")))
    assert done.returncode == 2
    assert "--target" in done.stderr
    assert "state" in done.stderr
    assert "Traceback" not in done.stderr
