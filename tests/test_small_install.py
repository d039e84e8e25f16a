"""``pip install .`` alone, in a clean environment, loads a bundle and predicts the same values."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lepta
from lepta.core.events import Context
from lepta.data.simulate import simulate_ct

ROOT = Path(__file__).parents[1]
SCRIPT = """
import importlib.util, json, sys
import numpy as np
import lepta
heavy = ["torch", "sklearn", "pandas", "pyarrow", "scipy", "PIL", "pydicom", "onnx", "lightgbm"]
found = [name for name in heavy if importlib.util.find_spec(name)]
assert not found, found
images = np.load("images.npy")
ct = lepta.predict("ct.lepta", images)
rows = json.load(open("rows.json"))
table = lepta.predict("table.lepta", rows)
np.savez("answers.npz", ct=ct.scores, table=table.scores)
try:
    lepta.predict("ct.lepta", "scan.dcm")
except lepta.LeptaError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_device_without_torch_predicts_the_same(tmp_path: Path) -> None:
    context = Context(cache=tmp_path / "cache")
    labels = simulate_ct(tmp_path / "ct", patients=16, slices=4, size=64)
    scans = lepta.Dataset.read(str(labels), target="lesion", group="patient_id")
    settings = {"loop": {"epochs": 2}}
    model = lepta.fit(scans, learner="resnet", settings=settings, context=context)
    model.save(tmp_path / "ct.lepta")
    images = np.stack([scans.decode("file", row) for row in range(20)])
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "scan.dcm").write_bytes(scans.read_bytes("file", 0))
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=300), "b": rng.choice(["x", "y", "ż"], 300)}
    columns["y"] = columns["a"] + (columns["b"] == "ż")
    table = lepta.Dataset.read(columns, target="y")
    trees = lepta.fit(table, learner="trees", context=context)
    trees.save(tmp_path / "table.lepta")
    rows = [{"a": float(a), "b": str(b)} for a, b in zip(columns["a"], columns["b"], strict=True)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))

    said = _run_in_clean_environment(tmp_path)

    answers = np.load(tmp_path / "answers.npz")
    np.testing.assert_allclose(answers["ct"], lepta.predict(model, images).scores, atol=1e-5)
    np.testing.assert_allclose(answers["table"], lepta.predict(trees, rows).scores, atol=1e-5)
    assert "pip install 'lepta[medical]'" in said


def _run_in_clean_environment(folder: Path) -> str:
    subprocess.run([sys.executable, "-m", "venv", folder / "clean"], check=True)
    python = folder / "clean" / "bin" / "python"
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "-c", ROOT / "constraints.txt", source], check=True)
    done = subprocess.run(
        [python, "-W", "error", "-c", SCRIPT],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout
