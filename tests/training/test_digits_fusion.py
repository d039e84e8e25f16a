"""Sound and image together do better than either alone, on real data."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import lepta

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_fusion.py"


@pytest.mark.samples
@pytest.mark.slow
def test_fused_beats_each_alone(samples: Path) -> None:
    pairs = runpy.run_path(str(EXAMPLE))["pairs"]
    columns = pairs(samples / "digits_audio_image", "theo", recordings=20, noise=1.0)
    label, split = np.array(columns["label"]), np.array(columns["split"])
    few = (np.arange(len(label)) % 3 == 0) | (split == "test")
    kept = np.flatnonzero((label < "5") & few)
    columns = {name: [values[row] for row in kept] for name, values in columns.items()}
    columns["image"] = np.stack(columns["image"])
    found = {}
    for fields in (("sound",), ("image",), ("sound", "image")):
        chosen = {name: columns[name] for name in (*fields, "label", "split")}
        data = lepta.Dataset.read(chosen, target="label", split="split")
        settings = {"loop.epochs": 8, "loop.batch": 16, "encoders": {"image": "cnn"}}
        model = lepta.fit(
            data, learner="neural", settings=settings, refit=False, audit=False, calibrate=False
        )
        found[fields] = lepta.evaluate(model, data["test"])["accuracy"].value
    assert found["sound", "image"] > max(found["sound",], found["image",]), found
