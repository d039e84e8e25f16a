"""Every kind of field: what training prepares is what the graph computes from new rows."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lepta
from lepta.core.events import Context
from lepta.core.schema import Kind
from lepta.models.front import OTHERS, PRESENT, Front, ImageOptions, fit_front
from lepta.models.front.audio import mel_bands
from lepta.models.graph import Graph
from lepta.runtime.fields import FieldReader, is_absent
from lepta.runtime.pack import pack, to_array
from lepta.runtime.session import open_session

ROWS = 24
WORDS = ("good", "bad", "fine", "poor", "cloth", "colour", "size", "price")


def wav(sound: np.ndarray, rate: int = 8000) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return stream.getvalue()


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def columns() -> dict[str, list]:
    """One column of each kind; every fifth value of media, texts and series is missing."""
    rng = np.random.default_rng(0)

    def gaps(values: list, first: int) -> list:
        return [None if row % 5 == first else value for row, value in enumerate(values)]

    sizes = rng.integers(20, 40, (ROWS, 2))
    images = [png(rng.integers(0, 256, (*size, 3), np.uint8)) for size in sizes]
    sounds = [wav(rng.normal(0, 0.1, n)) for n in rng.integers(1000, 9000, ROWS)]
    texts = [" ".join(rng.choice(WORDS, n)) for n in rng.integers(3, 12, ROWS)]
    series = [rng.normal(5, 2, (n, 2)).tolist() for n in rng.integers(3, 30, ROWS)]
    return {
        "number": rng.normal(size=ROWS).tolist(),
        "picture": gaps(images, 0),
        "sound": gaps(sounds, 1),
        "words": gaps(texts, 2),
        "steps": gaps(series, 3),
        "volume": rng.normal(size=(ROWS, 6, 9, 12, 1)).astype(np.float32),
        "y": rng.choice(["a", "b"], ROWS).tolist(),
    }


@pytest.fixture
def data(columns: dict[str, list]) -> lepta.Dataset:
    return lepta.Dataset.read(columns, target="y", kinds={"words": "text", "volume": "volume"})


@pytest.fixture
def front(data: lepta.Dataset, tmp_path: Path) -> Front:
    context = Context(cache=tmp_path)
    return fit_front(data, style="dense", image=ImageOptions(), kinds=OTHERS, context=context)


def run_graph(front: Front, data: lepta.Dataset) -> dict[str, np.ndarray]:
    """Run the emitted graph over the inputs of a dataset, row by row."""
    graph = Graph()
    values = front.emit(graph)
    for number, name in enumerate(front.names):
        part = {p.source.name: p for p in front.fields}.get(name)
        shape = part.out_shape if part else (-1, -1)
        graph.output(values[name], f"out_{number}", part.prepared if part else "float32", shape)
    session = open_session(graph.build().SerializeToString())
    readers = {p.source.name: FieldReader(p.input, front.members.__getitem__) for p in front.fields}
    inputs, rows = data.inputs(), []
    for row in range(len(data)):
        one = {name: readers[name](inputs[name][row], row)[None] for name in readers}
        for spec in front.table.inputs if front.table else ():
            one[spec.name] = to_array(spec, inputs[spec.name][row : row + 1])
        rows.append(session.run(None, pack(front.signature(data.task), one)))
    return {n: np.concatenate(p) for n, p in zip(front.names, zip(*rows, strict=True), strict=True)}


def test_every_kind_is_found_and_prepared_as_the_graph_does(
    data: lepta.Dataset, front: Front, tmp_path: Path
) -> None:
    kinds = {f.name: f.kind for f in data.schema.inputs}
    assert kinds == {
        "number": Kind.NUMBER,
        "picture": Kind.IMAGE,
        "sound": Kind.AUDIO,
        "words": Kind.TEXT,
        "steps": Kind.SERIES,
        "volume": Kind.VOLUME,
    }
    prepared, wanted = front.run(data, Context(cache=tmp_path)), run_graph(front, data)
    assert prepared.keys() == wanted.keys()
    for name, array in prepared.items():
        assert np.isfinite(array).all()
        np.testing.assert_allclose(array, wanted[name], atol=1e-5, err_msg=name)
    assert front.optional == ("picture", "sound", "words", "steps")
    missing = [[is_absent(v) for v in data.column(name)] for name in front.optional]
    np.testing.assert_array_equal(prepared[PRESENT], 1.0 - np.transpose(missing))


def test_prepared_arrays_have_the_shapes_and_ranges_promised(
    data: lepta.Dataset, front: Front, tmp_path: Path
) -> None:
    prepared = front.run(data, Context(cache=tmp_path))
    for part in front.fields:
        array = prepared[part.source.name]
        assert array.shape == (ROWS, *part.out_shape[1:])
        assert str(array.dtype) == part.prepared
    assert prepared["sound"].min() == 0.0
    assert prepared["sound"].max() == 1.0
    assert not prepared["sound"][1].any()
    known = prepared["steps"][[row for row in range(ROWS) if row % 5 != 3]]
    assert abs(known[known != 0].mean()) < 0.2


def test_a_tone_lights_the_band_of_its_frequency(tmp_path: Path) -> None:
    tones = [500.0, 1000.0, 2000.0, 3000.0]
    time = np.arange(8000) / 8000
    sounds = [wav(0.3 * np.sin(2 * np.pi * tone * time)) for tone in tones] * 3
    data = lepta.Dataset.read({"s": sounds, "y": ["a", "b", "c", "d"] * 3}, target="y")
    context = Context(cache=tmp_path)
    front = fit_front(data, style="dense", image=None, kinds=OTHERS, context=context)
    prepared = front.run(data, context)["s"][:4]
    bands = mel_bands(8000, 256, 40)
    for tone, spectrogram in zip(tones, prepared, strict=True):
        loudest = int(spectrogram.mean(axis=1).argmax())
        centre = np.argmax(bands[loudest]) * 8000 / 256
        assert abs(centre - tone) < 120


def test_text_needs_no_gap_and_a_field_without_values_is_refused(columns: dict[str, list]) -> None:
    columns["words"] = [None] * ROWS
    kinds = {"words": "text", "volume": "volume"}
    roles = {"words": "input"}
    data = lepta.Dataset.read(columns, target="y", kinds=kinds, roles=roles)
    with pytest.raises(lepta.LeptaError, match="No training row has a text in 'words'"):
        fit_front(data, style="dense", image=None, kinds=OTHERS, context=Context())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_volumes_keep_their_axes(axis: int, tmp_path: Path) -> None:
    shape = [10, 20, 30]
    ramp = np.moveaxis(np.broadcast_to(np.linspace(0, 1, shape[axis]), (1, 1, shape[axis])), 2, 0)
    ramp = np.broadcast_to(np.moveaxis(ramp, 0, axis), shape).astype(np.float32)
    volumes = np.stack([ramp] * 8)[..., None]
    columns = {"v": volumes, "y": ["a", "b"] * 4}
    data = lepta.Dataset.read(columns, target="y", kinds={"v": "volume"})
    context = Context(cache=tmp_path)
    front = fit_front(data, style="dense", image=None, kinds=OTHERS, context=context)
    cube = front.run(data, context)["v"][0, 0]
    assert cube.shape == (32, 32, 32)
    slopes = [float(np.abs(np.diff(cube, axis=a)).mean()) for a in range(3)]
    assert np.argmax(slopes) == axis
    assert sorted(slopes)[1] < 1e-5


def test_a_picture_of_one_pixel_is_there(tmp_path: Path) -> None:
    """One pixel also stands for a picture that is missing."""
    shades = [png(np.full((9, 9), 9 * row, np.uint8)) for row in range(10)]
    shades[3], shades[7] = png(np.full((1, 1), 200, np.uint8)), None
    data = lepta.Dataset.read({"p": shades, "y": ["a", "b"] * 5}, target="y")
    context = Context(cache=tmp_path)
    front = fit_front(data, style="dense", image=ImageOptions(), context=context)
    prepared, wanted = front.run(data, context), run_graph(front, data)
    assert prepared[PRESENT][:, 0].tolist() == [1.0] * 7 + [0.0] + [1.0] * 2
    for name, array in prepared.items():
        np.testing.assert_allclose(array, wanted[name], atol=1e-6)
    assert prepared["p"][3].min() == pytest.approx(200 / 255)


@pytest.mark.parametrize("kind", ["image", "volume"])
def test_values_that_are_no_numbers_do_not_spread(kind: str, tmp_path: Path) -> None:
    """What lies outside of a scan is often written as not-a-number."""
    rng = np.random.default_rng(0)
    shape = (8, 24, 20, 1) if kind == "image" else (8, 9, 12, 10, 1)
    values = rng.uniform(10, 20, shape).astype(np.float32)
    values[:, :3] = np.nan
    values[0, 4, 4], values[1, 4, 4] = np.inf, -np.inf
    columns = {"scan": values, "y": ["a", "b"] * 4}
    data = lepta.Dataset.read(columns, target="y", kinds={"scan": kind})
    context = Context(cache=tmp_path)
    front = fit_front(data, style="dense", image=ImageOptions(), kinds=OTHERS, context=context)
    prepared = front.run(data, context)["scan"]
    assert np.isfinite(prepared).all()
    assert prepared.std() > 0.1
    np.testing.assert_allclose(prepared, run_graph(front, data)["scan"], atol=1e-5)
