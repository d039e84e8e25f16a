"""Boxes from reading to serving: one graph that answers in the pixels of each image."""

from pathlib import Path

import numpy as np
import pytest

import lepta
from lepta.app.cli import main
from lepta.core.events import Context
from lepta.core.png import grey_png
from lepta.runtime import Predictor

SETTINGS = {
    "encoder": "resnet",
    "encoder_options": {"widths": (16, 32)},
    "loop.epochs": 12,
    "loop.batch": 8,
    "width": 32,
    "stride": 4,
    "size": 48,
}


def _image(rng: np.random.Generator, height: int, width: int) -> tuple[bytes, list[dict]]:
    """Return noise with up to two bright or dark rectangles, and their boxes."""
    image = rng.normal(110, 8, (height, width))
    boxes: list[dict] = []
    for place in range(int(rng.integers(0, 3))):
        sides = rng.integers(10, 16, 2)
        x0 = place * width // 2 + int(rng.integers(0, width // 2 - sides[0]))
        y0 = int(rng.integers(0, height - sides[1]))
        label = ("bright", "dark")[int(rng.integers(2))]
        x1, y1 = x0 + int(sides[0]), y0 + int(sides[1])
        image[y0:y1, x0:x1] += 80 if label == "bright" else -80
        boxes.append({"x0": x0, "y0": y0, "x1": x1, "y1": y1, "class": label})
    return grey_png(image.clip(0, 255).astype(np.uint8)), boxes


def _columns(count: int, seed: int = 0) -> dict[str, list]:
    rng = np.random.default_rng(seed)
    made = [_image(rng, 40 + 8 * (number % 2), 44) for number in range(count)]
    return {"image": [image for image, _ in made], "boxes": [boxes for _, boxes in made]}


@pytest.fixture(scope="module")
def data() -> lepta.Dataset:
    return lepta.Dataset.read(_columns(90), target="boxes")


@pytest.fixture(scope="module")
def bundle(data: lepta.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boxes")
    context = Context(cache=folder / "cache", threads=1)
    model = lepta.fit(data, settings=SETTINGS, context=context, name="boxes", audit=False)
    return model.save(folder / "boxes.lepta")


def test_boxes_are_found_whatever_the_size(bundle: Path) -> None:
    loaded = lepta.Bundle.load(bundle)
    figures = {m.name: m for m in loaded.manifest.metrics}
    assert figures["map50"].value > 0.7
    fresh = _columns(8, seed=5)
    found = Predictor(loaded).predict({"image": fresh["image"]})
    assert found.scores.shape == (8, 100, 6)
    assert (np.diff(found.scores[..., 4]) <= 0).all()
    assert (found.scores[found.scores[..., 4] == 0] == 0).all()
    right = 0
    for answer, boxes in zip(found.prediction, fresh["boxes"], strict=True):
        said = [(part["label"], np.array(part["box"])) for part in answer]
        for box in boxes:
            corners = np.array([box["x0"], box["y0"], box["x1"], box["y1"]])
            right += any(
                label == box["class"] and np.abs(place - corners).max() < 4 for label, place in said
            )
    assert right >= 0.7 * sum(len(boxes) for boxes in fresh["boxes"])


def test_an_image_without_anything_is_answered_by_nothing(bundle: Path) -> None:
    blank = grey_png(np.full((64, 32), 110, np.uint8))
    found = Predictor(bundle).predict({"image": [blank]})
    assert found.prediction.tolist() == [[]]
    assert np.isfinite(found.scores).all()


def test_workers_and_a_checkpoint_train_it_too(data: lepta.Dataset, tmp_path: Path) -> None:
    few = data.take(np.arange(20))
    settings = {**SETTINGS, "loop.epochs": 1}
    context = Context(cache=tmp_path / "cache", threads=1)
    options = {"settings": settings, "context": context, "audit": False}
    both = lepta.fit(few, workers=2, checkpoint=tmp_path / "kept", **options)
    assert both.manifest.task.name == "detection"
    assert any((tmp_path / "kept").rglob("*"))


def test_options_are_explained(data: lepta.Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(lepta.LeptaError, match="'cnn' has no maps"):
        lepta.fit(data, learner="detector", settings={"encoder": "cnn"}, audit=False)
    with pytest.raises(lepta.LeptaError, match=r"no option .strid.\. Did you mean .stride."):
        lepta.fit(data, learner="detector", settings={"strid": 4}, audit=False)
    with pytest.raises(lepta.LeptaError, match=r"'stride' of 'detector': .* greater than"):
        lepta.fit(data, learner="detector", settings={"stride": 0}, audit=False)
    pretrained = {"encoder": "pretrained:efficientnet-lite0", "encoder_options": {"width": 2}}
    with pytest.raises(lepta.LeptaError, match="it has no options"):
        lepta.fit(data, learner="detector", settings=pretrained, audit=False)
    assert main(["fit", "--help"]) == 0
    assert "detector" in capsys.readouterr().out
