"""Training on a CUDA device, against the processor; skipped where there is none."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import lepta
from lepta.engine import choose, detect

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def digits() -> lepta.Dataset:
    found = load_digits()
    images = (found.images[:800] * 15).astype(np.uint8)
    return lepta.Dataset.read({"image": images, "digit": found.target[:800]}, target="digit")


def test_the_gpu_is_chosen_without_a_wish() -> None:
    device = choose()
    assert device.kind in ("cuda", "rocm")
    assert device.device == "cuda:0"
    assert detect(torch=True).accelerators[0].memory > 2**30


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_what_a_gpu_trained_answers_as_the_processor_does(
    digits: lepta.Dataset, precision: str
) -> None:
    """``fit`` itself refuses a graph that differs from the trained network by more than 1e-4."""
    found = {}
    for device in ("cpu:fp32", f"cuda:0:{precision}"):
        settings = {"loop": {"epochs": 12}}
        bundle = lepta.fit(digits, learner="resnet", device=device, settings=settings)
        (accuracy,) = [m.value for m in bundle.manifest.metrics if m.name == "accuracy"]
        found[device.partition(":")[0]] = accuracy
        assert np.isfinite(lepta.predict(bundle, digits.take(range(20)).inputs()).scores).all()
    assert found["cuda"] > found["cpu"] - 0.05
    assert found["cuda"] > 0.85
