"""Image, text, sound, series and table in one model, any of which a row may lack."""

import base64
import io
import json
import urllib.request
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import lepta
from lepta.core.errors import ConfigError, InputError
from lepta.core.events import Context
from lepta.models.front import ImageOptions, fit_front
from lepta.models.networks import Plan, build_network, load_network, plan_network
from lepta.serving import start

ROWS = 160
HIGH = ("bright", "loud", "great")
LOW = ("dark", "quiet", "poor")
FILLER = ("the", "thing", "was", "rather", "today")
SETTINGS = {"loop": {"epochs": 8, "device": "cpu:fp32"}, "size": 16}


def _png(rng: np.random.Generator, label: int) -> bytes:
    stream = io.BytesIO()
    pixels = rng.integers(0, 100, (16, 16), np.uint8) + np.uint8(100 * label)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _wav(rng: np.random.Generator, label: int) -> bytes:
    time = np.arange(rng.integers(2000, 3000)) / 8000
    sound = 0.3 * np.sin(2 * np.pi * (400, 1600)[label] * time) + rng.normal(0, 0.05, len(time))
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes((sound * 20000).astype("<i2").tobytes())
    return stream.getvalue()


def _text(rng: np.random.Generator, label: int) -> str:
    words = [*rng.choice((LOW, HIGH)[label], 2), *rng.choice(FILLER, 4)]
    return " ".join(rng.permutation(words))


def make_rows(seed: int = 0) -> dict[str, list[Any]]:
    """Columns of rows whose label every field tells; each field but the number has gaps."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, ROWS)
    columns: dict[str, list[Any]] = {
        "picture": [_png(rng, label) for label in labels],
        "sound": [_wav(rng, label) for label in labels],
        "words": [_text(rng, label) for label in labels],
        "steps": [(rng.normal(0, 1, rng.integers(8, 16)) + 2 * label).tolist() for label in labels],
    }
    for values in columns.values():
        for row in np.flatnonzero(rng.random(ROWS) < 0.25):
            values[row] = None
    columns["size"] = (rng.normal(0, 1, ROWS) + labels).tolist()
    columns["answer"] = np.array(["no", "yes"])[labels].tolist()
    return columns


@pytest.fixture(scope="module")
def columns() -> dict[str, list[Any]]:
    return make_rows()


@pytest.fixture(scope="module")
def bundle(columns: dict[str, list[Any]], tmp_path_factory: pytest.TempPathFactory) -> lepta.Bundle:
    context = Context(cache=tmp_path_factory.mktemp("cache"), threads=1)
    data = lepta.Dataset.read(columns, target="answer", kinds={"words": "text"})
    made = lepta.fit(data, learner="neural", settings=SETTINGS, audit=False, context=context)
    return lepta.Bundle.load(made.save(tmp_path_factory.mktemp("bundle") / "mixed.lepta"))


def _row(columns: dict[str, list[Any]], number: int) -> dict[str, Any]:
    return {name: values[number] for name, values in columns.items() if name != "answer"}


def test_all_kinds_stand_in_the_signature_and_the_model_has_learned(bundle: lepta.Bundle) -> None:
    kinds = {spec.name: (spec.kind.value, spec.required) for spec in bundle.signature.inputs}
    assert kinds == {
        "size": ("number", True),
        "picture": ("image", False),
        "sound": ("audio", False),
        "words": ("text", False),
        "steps": ("series", False),
    }
    assert "tokenizer.json" in bundle.names
    measured = {m.name: m.value for m in bundle.manifest.metrics}
    assert measured["auroc"] > 0.95


def test_each_field_alone_tells_the_label(bundle: lepta.Bundle) -> None:
    fresh = make_rows(seed=1)
    labels = np.array(fresh["answer"]) == "yes"
    for name in ("picture", "sound", "words", "steps"):
        there = [row for row in range(ROWS) if fresh[name][row] is not None]
        rows = [{"size": None, name: fresh[name][row]} for row in there]
        assert roc_auc_score(labels[there], lepta.predict(bundle, rows).scores[:, 1]) > 0.8, name


def test_a_row_alone_is_answered_as_among_others(
    bundle: lepta.Bundle, columns: dict[str, list[Any]]
) -> None:
    rows = [_row(columns, number) for number in range(20)]
    together = lepta.predict(bundle, rows).scores
    alone = np.concatenate([lepta.predict(bundle, row).scores for row in rows])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    dropped = [{k: v for k, v in row.items() if v is not None} for row in rows]
    without = np.concatenate([lepta.predict(bundle, row).scores for row in dropped])
    np.testing.assert_allclose(without, together, atol=1e-5)


def test_the_workshop_builds_the_network_again(bundle: lepta.Bundle) -> None:
    plan = Plan.model_validate(json.loads(bundle.read("workshop/recipe.json"))["plan"])
    network = load_network(plan, bundle.read("workshop/network.safetensors"))
    encoders = {part.array: part.encoder for part in plan.parts}
    assert encoders["words"] == "textcnn"
    assert network.fusion is not None


def _json_value(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def test_http_takes_rows_with_null_and_the_client_files_and_arrays(
    bundle: lepta.Bundle, columns: dict[str, list[Any]]
) -> None:
    rows = [_row(columns, number) for number in range(12)]
    wanted = lepta.predict(bundle, rows)
    with start(bundle) as service:
        body = {"rows": [{k: _json_value(v) for k, v in row.items()} for row in rows]}
        request = urllib.request.Request(
            f"{service.url}/predict/{bundle.manifest.name}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            said = json.load(answer)["predictions"]
        client = lepta.connect(service.url)
        served = client.predict(rows).scores
        decoded = [{**row, "steps": row["steps"] and np.array(row["steps"])} for row in rows]
        arrays = client.predict(decoded).scores
        with pytest.raises(InputError, match="shape"):
            client.predict({**rows[0], "picture": np.zeros((3, 3, 7), np.uint8)})
    assert [one["prediction"] for one in said] == wanted.prediction.tolist()
    np.testing.assert_allclose([one["probability"]["yes"] for one in said], wanted.scores[:, 1],
                               atol=1e-5)  # fmt: skip
    np.testing.assert_allclose(served, wanted.scores, atol=1e-5)
    np.testing.assert_allclose(arrays, wanted.scores, atol=1e-5)


def test_an_encoder_of_no_field_is_refused(columns: dict[str, list[Any]], tmp_path: Path) -> None:
    data = lepta.Dataset.read(columns, target="answer", kinds={"words": "text"})
    settings = {**SETTINGS, "encoders": {"pictures": "resnet"}}
    with pytest.raises(ConfigError, match=r"Did you mean 'picture'\?"):
        lepta.fit(data, learner="neural", settings=settings, audit=False,
                  context=Context(cache=tmp_path))  # fmt: skip


def test_options_reach_the_encoder_and_are_checked() -> None:
    images = np.zeros((24, 16, 16), np.uint8)
    data = lepta.Dataset.read({"picture": images, "y": ["a", "b"] * 12}, target="y")
    front = fit_front(data, style="dense", image=ImageOptions(), context=Context())
    shapes = {"picture": (24, 1, 16, 16)}
    slim = plan_network(front, shapes, data.task, options={"image": {"width": 0.5}})
    whole = plan_network(front, shapes, data.task)
    weights = [sum(p.numel() for p in build_network(p).parameters()) for p in (slim, whole)]
    assert weights[0] < 0.5 * weights[1]
    wrong = plan_network(front, shapes, data.task, options={"picture": {"widht": 0.5}})
    with pytest.raises(ConfigError, match="widht"):
        build_network(wrong)
