"""Masks from reading to serving: one graph that answers in the size of each image."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lepta
from lepta.app.cli import main
from lepta.core.errors import DataError, InputError, SchemaError
from lepta.core.events import Context
from lepta.core.png import grey_png
from lepta.runtime import Predictor
from lepta.tasks.segmentation import from_run_lengths

SETTINGS = {"loop.epochs": 10, "loop.batch": 8, "encoder_options": {"widths": (16, 32)}}


def _image(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noise with a bright disc, and the disc."""
    y, x = np.mgrid[:height, :width]
    radius = rng.uniform(0.15, 0.3) * min(height, width)
    place = rng.uniform(radius, [height - radius, width - radius])
    disc = np.hypot(y - place[0], x - place[1]) < radius
    image = rng.normal(80, 10, (height, width)) + 90 * disc
    return image.clip(0, 255).astype(np.uint8), disc.astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("discs")
    rng = np.random.default_rng(0)
    rows = ["image,mask"]
    for number in range(60):
        image, mask = _image(rng, 32 + 4 * (number % 2), 40)
        (folder / f"i{number}.png").write_bytes(grey_png(image))
        (folder / f"m{number}.png").write_bytes(grey_png(mask * np.uint8(200)))
        rows.append(f"i{number}.png,m{number}.png")
    (folder / "table.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    data = lepta.Dataset.read(
        folder / "table.csv", target="mask", task_options={"classes": ["floor", "disc"]}
    )
    assert data.task.values == (0, 200)
    context = Context(cache=folder / "cache", threads=2)
    model = lepta.fit(data, settings=SETTINGS, context=context, name="discs")
    return model.save(folder / "discs.lepta")


def test_discs_are_found_whatever_the_size(folder: Path, bundle: Path) -> None:
    loaded = lepta.Bundle.load(bundle)
    figures = {m.name: m for m in loaded.manifest.metrics}
    assert figures["dice"].value > 0.8
    assert figures["dice"].low < figures["dice"].value < figures["dice"].high
    found = Predictor(loaded).predict([folder / "i0.png", folder / "i1.png"])
    assert [mask.shape for mask in found.prediction] == [(32, 40), (36, 40)]
    assert set(np.unique(found.prediction[0])) == {0, 200}
    (row, _) = found.rows()
    mask = from_run_lengths(row["prediction"]["counts"]["disc"], (32, 40))
    assert (mask == (found.prediction[0] == 200)).all()
    assert row["area[disc]"] == pytest.approx(mask.mean())
    report = loaded.read("report.html").decode()
    assert "The worst images" in report
    assert "Worst rows" in report
    assert loaded.read("card.md").startswith(b"# Model card: discs")


def test_it_is_measured_again_and_predicted_from_the_command_line(
    folder: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(bundle), str(folder / "table.csv")]) == 0
    assert "Dice" in capsys.readouterr().out
    out = folder / "answers.csv"
    assert main(["predict", str(bundle), str(folder / "table.csv"), "-o", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert lines[0] == "prediction,area[disc]"
    assert len(lines) == 61
    path = lines[1].split(",")[0]
    mask = np.asarray(Image.open(folder / path))
    assert mask.shape == (32, 40)
    again = lepta.Dataset.read(
        {"image": ["i0.png"], "mask": [str(folder / path)]}, target="mask", kinds={"mask": "mask"}
    )
    assert again.schema["mask"].classes == ("0", "200")


def test_it_is_served(folder: Path, bundle: Path) -> None:
    from lepta.serving import connect, start

    files = [(folder / f"i{number}.png").read_bytes() for number in range(2)]
    with start(bundle) as service:
        client = connect(service.url)
        served = client.predict(files)
        local = Predictor(bundle).predict(files)
        for one, other in zip(served.scores, local.scores, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
        with pytest.raises(InputError, match="differ in size"):
            client.infer({"image": np.array([*files, None], object)[:2]})


def test_what_is_no_mask_is_refused(folder: Path, tmp_path: Path) -> None:
    image, mask = _image(np.random.default_rng(1), 32, 40)
    colour = io.BytesIO()
    Image.fromarray(np.stack([image, mask, mask], -1)).save(colour, "PNG")
    (tmp_path / "i.png").write_bytes(grey_png(image))
    (tmp_path / "odd.png").write_bytes(grey_png(image[:16]))
    (tmp_path / "m.png").write_bytes(colour.getvalue())
    table = {"image": [str(tmp_path / "i.png")] * 2, "mask": [str(tmp_path / "m.png")] * 2}
    with pytest.raises(DataError, match=r"only|no value"):
        _ = lepta.Dataset.read(table, target="mask").task
    noise = np.random.default_rng(0).integers(0, 60000, (64, 64)).astype(np.uint16)
    (tmp_path / "m.png").write_bytes(grey_png(noise))
    with pytest.raises(SchemaError, match="more than 254 values"):
        lepta.Dataset.read(table, target="mask")
    count = 40
    (tmp_path / "m.png").write_bytes(grey_png(mask))
    sizes = {
        "image": [str(tmp_path / "odd.png")] * count,
        "mask": [str(tmp_path / "m.png")] * count,
    }
    with pytest.raises(DataError, match=r"The mask is 32 x 40, its image 16 x 40") as caught:
        lepta.fit(lepta.Dataset.read(sizes, target="mask"), audit=False)
    assert caught.value.where.row is not None


def test_masks_may_be_arrays() -> None:
    masks = np.zeros((3, 4, 4), np.uint8)
    masks[:, 1:3, 1:3] = 2
    data = lepta.Dataset.read({"image": masks * 100, "mask": masks}, target="mask")
    assert data.task.values == (0, 2)
    assert data.targets().sum() == 12
    assert json.dumps(data.profile())
