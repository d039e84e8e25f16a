"""Boxes from reading to serving: one graph that answers in pixels of each image."""

import base64
import csv
import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lepta
from lepta.app.cli import main
from lepta.core.errors import DataError
from lepta.core.events import Context
from lepta.core.png import grey_png
from lepta.runtime import Predictor
from lepta.tasks.detection.boxes import overlap

SETTINGS = {
    "encoder": "resnet",
    "encoder_options": {"widths": (16, 32)},
    "stride": 4,
    "width": 32,
    "size": 64,
    "loop.epochs": 14,
    "loop.batch": 8,
    "loop.learning_rate": 4e-3,
}
COUNT = 72


def _scene(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, list[list[int]]]:
    """Return noise with a bright disc and a dark square, or one, or none; boxes and class."""
    image = rng.normal(110, 10, (height, width))
    y, x = np.mgrid[:height, :width]
    boxes: list[list[int]] = []
    for code in rng.permutation(2)[: rng.integers(0, 3)]:
        side = int(rng.integers(14, 22))
        x0, y0 = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        box = np.array([[x0, y0, x0 + side, y0 + side]], np.float64)
        if boxes and overlap(box, np.array(boxes, np.float64))[0].max() > 0:
            continue
        middle = (side - 1) / 2
        inside = (
            np.hypot(y - y0 - middle, x - x0 - middle) < side / 2
            if code == 0
            else (x >= x0) & (x < x0 + side) & (y >= y0) & (y < y0 + side)
        )
        image[inside] += 80 if code == 0 else -80
        boxes.append([x0, y0, x0 + side, y0 + side, int(code)])
    return image.clip(0, 255).astype(np.uint8), boxes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two sizes, and a table with a row for each box."""
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,shape,x,y,width,height"]
    for number in range(COUNT):
        image, boxes = _scene(rng, 64 + 8 * (number % 2), 72)
        (folder / "images" / f"i{number:02}.png").write_bytes(grey_png(image))
        for x0, y0, x1, y1, code in boxes:
            shape = ("disc", "square")[code]
            rows.append(f"i{number:02}.png,{shape},{x0},{y0},{x1 - x0},{y1 - y0}")
    (folder / "boxes.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    data = lepta.Dataset.read(folder / "images", boxes=str(folder / "boxes.csv"))
    assert len(data) == COUNT
    context = Context(cache=folder / "cache", threads=2)
    model = lepta.fit(data, settings=SETTINGS, refit=False, context=context, name="shapes")
    return model.save(folder / "shapes.lepta")


def test_shapes_are_found_whatever_the_size(folder: Path, bundle: Path) -> None:
    loaded = lepta.Bundle.load(bundle)
    figures = {m.name: m for m in loaded.manifest.metrics}
    assert figures["map50"].value > 0.7
    assert figures["map"].low < figures["map"].value < figures["map"].high
    predictor = Predictor(loaded)
    assert 0.0 < predictor.task.threshold < 1.0
    data = lepta.Dataset.read(folder / "images", boxes=str(folder / "boxes.csv"))
    found = predictor.predict(data.inputs())
    assert found.scores.shape == (COUNT, 100, 6)
    said = [box["label"] for row in found.rows() for box in row["prediction"]]
    assert set(said) == {"disc", "square"}
    assert (predictor.task.row_errors(data.targets(), found.scores) < 0.5).mean() > 0.7
    report = loaded.read("report.html").decode()
    for words in ("The worst images", "Precision and recall", "Where to cut", "Worst rows"):
        assert words in report
    assert b"A box is answered from a score of" in loaded.read("card.md")
    assert json.loads(loaded.read("profile.json"))["fields"]["boxes"]["counts"].keys() == set(said)


def test_it_is_measured_again_and_predicted_from_the_command_line(
    folder: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = ["--boxes", str(folder / "boxes.csv")]
    assert main(["check", str(folder / "images"), *boxes]) == 0
    assert "boxes of 2 class(es): disc, square" in capsys.readouterr().out
    assert main(["evaluate", str(bundle), str(folder / "images"), *boxes]) == 0
    assert "mAP at IoU 0.5" in capsys.readouterr().out
    out = folder / "answers.csv"
    assert main(["predict", str(bundle), str(folder / "images"), "-o", str(out)]) == 0
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == COUNT
    answers = [json.loads(row["prediction"]) for row in rows]
    assert [len(boxes) for boxes in answers] == [int(row["count"]) for row in rows]
    files = sorted(map(str, (folder / "images").iterdir()))
    again = lepta.Dataset.read(
        {"file": files, "boxes": [row["prediction"] for row in rows]},
        target="boxes",
        task="detection",
    )
    assert again.targets()[0].shape == (len(answers[0]), 5), "answers can be read as labels"


def test_it_is_served(folder: Path, bundle: Path) -> None:
    from lepta.serving import connect, start

    files = [(folder / "images" / f"i{number:02}.png").read_bytes() for number in range(2)]
    with start(bundle) as service:
        client = connect(service.url)
        served = client.predict(files)
        local = Predictor(bundle).predict(files)
        assert local.task.gap(served.scores, local.scores) < 1e-5
        body = {"rows": [{"file": base64.b64encode(file).decode()} for file in files]}
        plain = _post(f"{service.url}/predict/shapes", body)
        tensor = {"name": "file", "datatype": "BYTES", "shape": [1]}
        one = {"inputs": [{**tensor, "data": [body["rows"][0]["file"]]}]}
        answers = _post(f"{service.url}/v2/models/shapes/infer", one)["outputs"]
    assert [row["prediction"] for row in plain["predictions"]] == local.prediction.tolist()
    (text,) = next(output["data"] for output in answers if output["name"] == "prediction")
    assert json.loads(text) == local.prediction[0], "an element of a tensor holds JSON"


def _post(url: str, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def test_a_box_outside_of_its_image_stops_a_fit(folder: Path, tmp_path: Path) -> None:
    table = (folder / "boxes.csv").read_text() + "\ni05.png,disc,72,3,10,10\n"
    (tmp_path / "boxes.csv").write_text(table)
    data = lepta.Dataset.read(folder / "images", boxes=str(tmp_path / "boxes.csv"))
    with pytest.raises(DataError, match=r"lies outside of its image, which is 72 x 72") as caught:
        lepta.fit(data, settings=SETTINGS, learner="detector", audit=False, valid=0.4, test=0.1)
    assert caught.value.where is not None
    assert (caught.value.where.row, caught.value.where.field) == (6, "boxes")
