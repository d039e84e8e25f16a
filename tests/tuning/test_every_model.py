"""Every learner for each of its tasks, and every encoder: one graph that answers as training does.

Each is fitted on a few rows, packed, written, read again, and asked for all rows: also for those
that are stranger than any in training, and for one, two and seven rows at a time.

Writing a network as a graph takes seconds, so that of networks a choice is tried which has every
learner, every task and every kind of field; ``LEPTA_EVERY=1`` tries them all (four minutes).
"""

import io
import os
import wave
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from torch import nn

import lepta
from lepta.bundle import Bundle, Manifest
from lepta.core.events import Context
from lepta.core.schema import Kind
from lepta.models.learner import LEARNERS, to_onnx
from lepta.models.networks.encoders import ENCODERS
from lepta.runtime import Predictor
from lepta.tuning.candidates import Trial, try_learners
from lepta.tuning.options import FitOptions

os.environ.setdefault("KERAS_BACKEND", "torch")

TRAIN, VALID, STRANGE = 32, 12, 6
ROWS = TRAIN + VALID + STRANGE
ONCE = {"loop.epochs": 1, "loop.device": "cpu:fp32", "loop.batch": 8}
SMALL = {"width": 0.25, "depth": 0.1}
TASKS = ("binary", "multiclass", "multilabel", "ordinal", "quantile", "regression")
TOLERANCE = 1e-4


def targets(task: str, level: np.ndarray) -> list[Any]:
    """Return targets that follow ``level``, a number in [0, 1] a row."""
    return {
        "binary": np.where(level > 0.5, "yes", "no").tolist(),
        "multiclass": np.array(["a", "b", "c"])[np.digitize(level, [0.3, 0.7])].tolist(),
        "ordinal": (1 + np.digitize(level, [0.25, 0.5, 0.75])).tolist(),
        "multilabel": [[w for w, cut in (("p", 0.3), ("q", 0.6)) if x > cut] for x in level],
        "quantile": (7000 + 300 * level).tolist(),
        "regression": (7000 + 300 * level).tolist(),
        "anomaly": np.where(level > 0.8, "bad", "good").tolist(),
    }[task]


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def wav(sound: np.ndarray, rate: int, channels: int) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setparams((channels, 2, rate, 0, "NONE", ""))
        out.writeframes((sound.clip(-1, 1) * 30000).astype("<i2").tobytes())
    return stream.getvalue()


def plain(rng: np.random.Generator, level: np.ndarray) -> dict[str, Any]:
    number = level + rng.normal(0, 0.2, ROWS)
    number[::7] = np.nan
    other = rng.normal(50, 9, ROWS)
    other[-2:] = np.nan, 1e9
    city = rng.choice(["Rome", "Oslo", "Łódź"], ROWS).astype(object)
    city[::9] = None
    city[-3:] = "Atlantis"
    days = np.datetime64("2024-01-01") + rng.integers(0, 700, ROWS).astype("timedelta64[D]")
    day = [str(d) for d in days]
    day[-1], day[5] = "1803-02-01", None
    return {"number": number, "other": other, "city": city.tolist(), "day": day}


def pictures(rng: np.random.Generator, level: np.ndarray) -> dict[str, Any]:
    """Pictures of any size, the last ones in colour, of 16 bits, of one pixel, and a gap."""
    sizes = rng.integers(12, 24, (ROWS, 2))
    values = [
        png((rng.integers(0, 80, size) + 150 * x).astype(np.uint8))
        for size, x in zip(sizes, level, strict=True)
    ]
    values[3] = None
    values[-3:] = (
        png(rng.integers(0, 256, (9, 31, 4), np.uint8)),
        png(rng.integers(0, 65536, (20, 20)).astype(np.uint16)),
        png(np.full((1, 1), 200, np.uint8)),
    )
    return {"picture": values}


def volumes(rng: np.random.Generator, level: np.ndarray) -> dict[str, Any]:
    shape = (ROWS, 5, 9, 12, 1)
    return {"volume": (rng.normal(size=shape) + level[:, None, None, None, None]).astype("f4")}


def sounds(rng: np.random.Generator, level: np.ndarray) -> dict[str, Any]:
    """Sounds of any length; the last ones are stereo, of another rate, silent, and one sample."""
    values: list[Any] = []
    for x in level:
        time = np.arange(rng.integers(1500, 3000)) / 8000
        values.append(wav(np.sin(2 * np.pi * (300 + 2000 * x) * time) / 3, 8000, 1))
    values[4] = None
    values[-4:] = (
        wav(rng.normal(0, 0.2, 4000), 8000, 2),
        wav(rng.normal(0, 0.2, 9000), 22050, 1),
        wav(np.zeros(2000), 8000, 1),
        wav(np.ones(1), 8000, 1),
    )
    return {"sound": values}


def texts(rng: np.random.Generator, level: np.ndarray) -> dict[str, Any]:
    words = [
        " ".join(rng.choice(["good", "fine"] if x > 0.5 else ["bad", "poor"], 3)) for x in level
    ]
    values: list[Any] = [f"{text} of the {rng.choice(['cloth', 'price'])}" for text in words]
    values[6] = None
    values[-4:] = "", " \n", "ßŁ 語 \U0001f600", "good bad " * 400
    return {"words": values}


def series(rng: np.random.Generator, level: np.ndarray) -> dict[str, Any]:
    values: list[Any] = [(rng.normal(size=(rng.integers(8, 20), 2)) + x).tolist() for x in level]
    values[2] = None
    values[-3:] = [[1.0, 2.0]], [[float("nan"), 1e9]] * 5, rng.normal(size=(60, 2)).tolist()
    return {"steps": values}


MAKERS: dict[Kind, Callable[..., dict[str, Any]]] = {
    Kind.NUMBER: plain,
    Kind.IMAGE: pictures,
    Kind.VOLUME: volumes,
    Kind.AUDIO: sounds,
    Kind.TEXT: texts,
    Kind.SERIES: series,
}
NAMES = {Kind.IMAGE: "picture", Kind.VOLUME: "volume", Kind.AUDIO: "sound", Kind.TEXT: "words",
         Kind.SERIES: "steps", Kind.NUMBER: "table"}  # fmt: skip


@cache
def rows(task: str, *kinds: Kind) -> lepta.Dataset:
    """Return rows with fields of these kinds, and a target for the task."""
    rng = np.random.default_rng(0)
    level = rng.permutation(np.linspace(0, 1, ROWS))
    columns: dict[str, Any] = {}
    for kind in kinds:
        columns |= MAKERS[kind](rng, level)
    columns["target"] = targets(task, level)
    known = {"words": "text", "volume": "volume"}
    data = lepta.Dataset.read(
        columns,
        target="target",
        task=task,
        kinds={name: kind for name, kind in known.items() if name in columns},
    )
    return divided(data, TRAIN, VALID)


def divided(data: lepta.Dataset, train: int, valid: int) -> lepta.Dataset:
    first = np.arange(len(data))
    return data.with_splits({"train": first[:train], "valid": first[train : train + valid]})


@cache
def masks() -> lepta.Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 90, (ROWS, 20, 24), np.uint8)
    discs = np.zeros_like(images)
    discs[:, 5:12, 6:15] = 1
    images += discs * np.uint8(120)
    options = {"classes": ["floor", "disc"]}
    columns = {"image": images, "mask": [png(disc) for disc in discs]}
    data = lepta.Dataset.read(columns, target="mask", kinds={"mask": "mask"}, task_options=options)
    return divided(data, TRAIN, VALID)


@cache
def windows() -> lepta.Dataset:
    hour = np.arange(120)
    columns = {"hour": hour, "load": 50 + 10 * np.sin(hour / 4.0), "plan": hour % 24}
    window = {"length": 12, "horizon": 3, "known": ["plan"]}
    data = lepta.Dataset.read(columns, target="load", time_field="hour", window=window)
    return divided(data, 60, 20)


@cache
def ratings() -> lepta.Dataset:
    rng = np.random.default_rng(0)
    pairs = rng.permutation(100)[:90]
    columns = {"user": pairs // 10, "item": pairs % 10, "stars": rng.integers(1, 6, 90)}
    kinds = {"user": "category", "item": "category", "stars": "number"}
    data = lepta.Dataset.read(columns, target="stars", task="regression", kinds=kinds)
    return divided(data, 60, 20)


def dense(shapes: dict[str, tuple[int, ...]], width: int) -> nn.Module:
    """Return a torch module over the table."""
    ((columns,),) = shapes.values()
    return nn.Sequential(nn.Linear(columns, 4), nn.ReLU(), nn.Linear(4, width))


def keras_dense(shapes: dict[str, tuple[int, ...]], width: int) -> Any:
    keras = pytest.importorskip("keras")
    (shape,) = shapes.values()
    return keras.Sequential([keras.Input(shape), keras.layers.Dense(width)])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A small residual network for images and a small BERT, as Hugging Face keeps them."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer

    from lepta.models.front.text import train_tokenizer

    torch.manual_seed(0)
    image, text = (tmp_path_factory.mktemp(name) for name in ("image", "text"))
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1])
    transformers.ResNetModel(config).save_pretrained(image)
    (image / "preprocessor_config.json").write_text('{"size": {"height": 16, "width": 16}}')
    content, vocabulary = train_tokenizer(["good bad fine poor of the cloth price"] * 3)
    tokenizer = Tokenizer.from_str(content.decode())
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]"
    ).save_pretrained(text)
    config = transformers.BertConfig(vocab_size=vocabulary, hidden_size=16, num_hidden_layers=1,
                                     num_attention_heads=2, intermediate_size=16)  # fmt: skip
    transformers.BertModel(config).save_pretrained(text)
    return {"image": str(image), "text": str(text)}


TABLE = (Kind.NUMBER,)
FIELDS: dict[str, tuple[Kind, ...]] = {
    "cnn": (Kind.NUMBER, Kind.IMAGE),
    "resnet": (Kind.IMAGE,),
    "patchcore": (Kind.IMAGE,),
    "neural": tuple(MAKERS),
    "transfer": (Kind.NUMBER, Kind.IMAGE, Kind.TEXT),
    "embedded-trees": (Kind.NUMBER, Kind.IMAGE, Kind.TEXT),
    "bag": (Kind.NUMBER, Kind.TEXT),
}
"""Kinds of field that a learner is tried on; the table alone by default."""
SETTINGS: dict[str, dict[str, Any]] = {
    "trees": {"rounds": 5, "min_rows": 3},
    "tabm": {"network.epochs": 3, "network.width": 8},
    "residual": {"trees.rounds": 5, "trees.min_rows": 3},
    "leaf-linear": {"trees.rounds": 5, "trees.min_rows": 3},
    "xgboost": {"rounds": 5, "min_weight": 0.5},
    "catboost": {"rounds": 5, "depth": 3},
    "forest": {"trees": 5},
    "extra-trees": {"trees": 5},
    "embedded-trees": {"trees.rounds": 5, "trees.min_rows": 3, "directions": 4},
    "isolation-forest": {"trees": 5},
    "patchcore": {"images": 8, "memory": 20},
    "factorization": {"rank": 2, "passes": 2, "strengths": (2.0,)},
    "forecast-trees": {"trees.rounds": 5},
    "forecaster": {"hidden": 8, "local": 8, "batch": 16},
    "hybrid-forecaster": {"hidden": 8, "local": 8, "batch": 16},
    "unet": {"encoder_options": {"widths": (4, 8)}, "width": 4},
    "neural": {"encoder_options": dict.fromkeys(NAMES.values(), SMALL), "size": 16},
    "cnn": {"encoder_options": {"image": SMALL, "table": SMALL}, "size": 16},
    "resnet": {"encoder_options": {"image": SMALL}, "size": 16},
}
OWN: dict[tuple[str, bool], Any] = {
    ("sklearn", True): RandomForestClassifier(3, max_depth=3),
    ("sklearn", False): RandomForestRegressor(3, max_depth=3),
    ("torch", True): dense,
    ("torch", False): dense,
    ("keras", True): keras_dense,
    ("keras", False): keras_dense,
}
SPECIAL = {"unet": masks, "forecaster": windows, "statistical": windows, "forecast-trees": windows,
           "hybrid-forecaster": windows,
           "factorization": ratings}  # fmt: skip


def settings_of(learner: str, folders: dict[str, str] | None) -> dict[str, Any]:
    chosen = dict(SETTINGS.get(learner, {}))
    kind = LEARNERS.get(learner)
    if "loop" in getattr(kind, "__dataclass_fields__", ()):
        chosen |= ONCE
    if folders is not None and learner in ("transfer", "embedded-trees"):
        chosen |= {"backbone": folders["image"], "text": folders["text"]}
    return chosen


def trained(learner: str, data: lepta.Dataset, options: dict[str, Any], context: Context) -> Trial:
    chosen = FitOptions(learner=learner, device="cpu:fp32", **options)
    (trial,) = try_learners((learner,), data["train"], data["valid"], data.task, chosen, context)
    return trial


def check(trial: Trial, data: lepta.Dataset, context: Context, path: Path) -> None:
    """Pack, save and load a model; compare what it answers with what training says."""
    fitted = trial.fitted
    manifest = Manifest(
        name="m",
        created="2026-01-01T00:00:00+00:00",
        task=fitted.task,
        signature=fitted.front.signature(fitted.task),
    )
    members = {**fitted.front.members, **fitted.workshop()}
    graph = to_onnx(fitted, trial.temperature).SerializeToString()
    Bundle(manifest, {"model.onnx": graph, **members}).save(path / "m.lepta")
    predictor = Predictor(path / "m.lepta")
    wanted = fitted.scores(data, context, trial.temperature)
    got = predictor.scores(data.inputs())
    assert got.shape == wanted.shape
    scale = 1.0 if fitted.task.bounded else float(np.std(wanted)) or 1.0
    assert np.isfinite(got).all()
    assert fitted.task.gap(wanted, got) <= TOLERANCE * scale + 1e-6 * float(np.abs(wanted).max())
    last = len(data)
    for chosen in (np.arange(7), np.array([last - 1, 0]), *(np.array([last - n]) for n in (1, 3))):
        alone = predictor.scores(data.take(chosen).inputs())
        assert fitted.task.gap(got[chosen], alone) <= 1e-5 * scale + 1e-6 * float(np.abs(got).max())


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context(cache=tmp_path_factory.mktemp("cache"), threads=1)


NETWORKS = {
    "cnn": "multiclass",
    "finetune": "multilabel",
    "keras": "regression",
    "mlp": "ordinal",
    "neural": "binary",
    "resnet": "quantile",
    "torch": "multiclass",
}
"""Of learners that are networks, the task that is always tried."""
ENCODED = ("audiotransformer", "fttransformer", "patchtst", "transformer", "unet3d", "vit")
"""Encoders that are always tried; the others only keep their contract elsewhere."""
OWN_TESTS = ("detection", "ranking", "recommendation")
"""Tasks whose rows are of another kind; the tests of their learners compare graph and training."""
sometimes = pytest.mark.skipif(
    not os.environ.get("LEPTA_EVERY"), reason="LEPTA_EVERY=1 tries every learner and encoder"
)


def learner_cases() -> list[Any]:
    pairs = [
        (name, task)
        for name in LEARNERS.names()
        for task in sorted(LEARNERS.get(name).tasks.difference(OWN_TESTS))
    ]
    return [
        pytest.param(name, task, marks=[sometimes] if NETWORKS.get(name, task) != task else [])
        for name, task in pairs
    ]


def encoder_cases() -> list[Any]:
    return [
        pytest.param(TASKS[number % len(TASKS)], name, marks=[] if name in ENCODED else [sometimes])
        for number, name in enumerate(ENCODERS.names())
    ]


@pytest.mark.parametrize(("learner", "task"), learner_cases())
def test_every_learner_answers_as_it_was_trained(
    learner: str, task: str, context: Context, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    needs = learner in ("transfer", "finetune", "embedded-trees")
    folders = request.getfixturevalue("folders") if needs else None
    settings = settings_of(learner, folders)
    fields = FIELDS.get(learner, TABLE)
    if folders is not None and learner == "finetune":
        kind = Kind.TEXT if task in ("binary", "quantile", "ordinal") else Kind.IMAGE
        fields = (Kind.NUMBER, kind)
        settings |= {"backbone": folders[kind.value]}
    data = SPECIAL[learner]() if learner in SPECIAL else rows(task, *fields)
    if learner == "patchcore":  # no normal picture is lacking, so none may be
        data = data.keep(data.present("picture"))
    options: dict[str, Any] = {"settings": settings}
    own = OWN.get((learner, data.task.is_classification))
    if own is not None:
        options["model"] = own
    check(trained(learner, data, options, context), data, context, tmp_path)


@pytest.mark.parametrize(("task", "encoder"), encoder_cases())
def test_every_encoder_answers_as_it_was_trained(
    task: str, encoder: str, context: Context, tmp_path: Path
) -> None:
    kind = ENCODERS.get(encoder).kinds[0]
    data = rows(task, kind)
    if min(ENCODERS.get(encoder).smallest[1:], default=1) > 16:  # voxels of a side
        values = np.random.default_rng(0).normal(size=(ROWS, 2, 3, 32, 1)).astype("f4")
        columns = {"volume": values, "target": data.column("target")}
        data = lepta.Dataset.read(columns, target="target", task=task, kinds={"volume": "volume"})
        data = divided(data, TRAIN, VALID)
    settings = {
        **ONCE,
        "size": 16,
        "encoders": {NAMES[kind]: encoder},
        "encoder_options": {NAMES[kind]: SMALL},
    }
    check(trained("neural", data, {"settings": settings}, context), data, context, tmp_path)
