"""Torch modules and Keras models inside Lepta's loop and graph."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lepta
from lepta.core.errors import ConfigError, TrainError
from lepta.core.events import Context
from lepta.models.custom.adapted import adapt, try_out
from lepta.models.front import ImageOptions, fit_front
from lepta.runtime import Predictor
from lepta.serving import start
from lepta.tasks import Binary, Multiclass, Multilabel, Ordinal, Regression, Task
from lepta.training.custom import Keras, Torch
from lepta.training.layout import fast_layout

os.environ.setdefault("KERAS_BACKEND", "torch")

BINARY = Binary(target="t", classes=("no", "yes"))
THREE = Multiclass(target="t", classes=("a", "b", "c"))
LABELS = Multilabel(target="t", classes=("a", "b", "c"))
GRADES = Ordinal(target="t", classes=("1", "2", "3", "4"))
TABLE = {"table": (8, 4)}
SETTINGS = {"loop.epochs": 3, "loop.device": "cpu:fp32"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context(cache=tmp_path_factory.mktemp("cache"), threads=1)


def pictures(count: int, side: int, channels: int = 1) -> lepta.Dataset:
    """Grey noise, with a bright square in every second image."""
    random = np.random.default_rng(0)
    images = random.normal(90, 15, (count, side, side, channels))
    third = side // 3
    for row in range(0, count, 2):
        top, left = random.integers(0, side - third, 2)
        images[row, top : top + third, left : left + third] += 120
    labels = ["yes", "no"] * (count // 2)
    columns = {"scan": images.clip(0, 255).astype(np.uint8), "lesion": labels}
    return lepta.Dataset.read(columns, target="lesion").split(valid=0.2, test=0.2, seed=0)


def table(count: int = 120) -> lepta.Dataset:
    random = np.random.default_rng(0)
    x, y = random.normal(size=count), random.normal(size=count)
    return lepta.Dataset.read({"x": x, "y": y, "price": 1000 + 50 * x - 20 * y}, target="price")


class SmallCnn(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2))
        self.head = nn.Linear(16, width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(torch.relu(self.body(images)).amax((2, 3)))
        return scores


def test_a_class_of_a_torch_module_becomes_a_bundle(context: Context, tmp_path: Path) -> None:
    data = pictures(120, 24)
    bundle = lepta.fit(
        data,
        model=SmallCnn,
        settings={"loop.epochs": 25, "loop.learning_rate": 0.01, "loop.device": "cpu:fp32"},
        context=context,
    )
    assert bundle.manifest.lineage.config["learner"] == "torch"
    assert bundle.manifest.lineage.config["fit"]["model"].endswith(":SmallCnn")
    assert next(m.value for m in bundle.manifest.metrics if m.name == "auroc") > 0.9
    again = lepta.Bundle.load(bundle.save(tmp_path / "cnn.lepta"))
    assert len(Predictor(again).predict(data["test"].inputs())) == len(data["test"])


def test_a_number_is_learned_in_its_own_unit(context: Context) -> None:
    module = nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, 1))
    settings = {"loop.epochs": 60, "loop.learning_rate": 0.02, "loop.device": "cpu:fp32"}
    bundle = lepta.fit(table(), model=module, settings=settings, context=context)
    assert next(m.value for m in bundle.manifest.metrics if m.name == "r2") > 0.9
    assert float(module[0].weight.detach().abs().sum()) > 0  # the module given is left alone
    fresh = nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, 1))
    fresh.load_state_dict(module.state_dict())


@pytest.mark.parametrize(
    ("layers", "task", "outputs"),
    [
        ([nn.Linear(4, 1), nn.Sigmoid()], BINARY, "auto"),
        ([nn.Linear(4, 2), nn.Softmax(1)], BINARY, "auto"),
        ([nn.Linear(4, 3), nn.Softmax(1)], THREE, "auto"),
        ([nn.Linear(4, 1), nn.Sigmoid(), nn.Identity()], BINARY, "probabilities"),
        ([nn.Linear(4, 3), nn.Softmax(1), nn.Identity()], THREE, "probabilities"),
    ],
)
def test_probabilities_are_taken_back_to_logits(layers: Any, task: Any, outputs: Any) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(*layers)
    arrays = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    network = adapt(module, TABLE, task, outputs).eval()
    try_out(network, [arrays], task, module)
    with torch.no_grad():
        inside = torch.softmax(network(torch.from_numpy(arrays)), 1).numpy()
        alone = module(torch.from_numpy(arrays)).numpy()
    wanted = np.hstack([1 - alone, alone]) if alone.shape[1] == 1 else alone
    np.testing.assert_allclose(inside, wanted, atol=1e-6)


class Ending(nn.Module):
    """Ends in a function, which no list of layers shows."""

    def __init__(self, width: int, end: str) -> None:
        super().__init__()
        self.dense, self.end = nn.Linear(4, width), end

    def forward(self, table: torch.Tensor) -> torch.Tensor:
        raw = self.dense(table)
        if self.end == "two":
            return torch.cat([1 - torch.sigmoid(raw), torch.sigmoid(raw)], 1)
        ends = {
            "sigmoid": lambda: torch.sigmoid(raw),
            "flat": lambda: torch.sigmoid(raw).squeeze(1),
            "softmax": lambda: torch.softmax(raw, 1),
            "log": lambda: torch.log_softmax(raw, 1),
        }
        return ends[self.end]()


def scores_of(network: nn.Module, task: Task, arrays: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return task.finish(network(torch.from_numpy(arrays)).numpy())


@pytest.mark.parametrize(
    ("width", "end", "task", "outputs"),
    [
        (1, "sigmoid", BINARY, "auto"),
        (1, "flat", BINARY, "auto"),
        (1, "two", BINARY, "auto"),
        (3, "softmax", THREE, "auto"),
        (3, "log", THREE, "auto"),
        (3, "sigmoid", LABELS, "auto"),
        (3, "sigmoid", LABELS, "probabilities"),
    ],
)
def test_probabilities_are_found_wherever_they_come_from(
    width: int, end: str, task: Any, outputs: Any
) -> None:
    torch.manual_seed(0)
    module = Ending(width, end)
    arrays = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    network = adapt(module, TABLE, task, outputs).eval()
    try_out(network, [arrays], task, module)
    alone = module(torch.from_numpy(arrays)).detach().numpy().reshape(8, -1)
    alone = np.exp(alone) if end == "log" else alone
    wanted = np.hstack([1 - alone, alone]) if alone.shape[1] == 1 else alone
    np.testing.assert_allclose(scores_of(network, task, arrays), wanted, atol=1e-6)


def test_steps_of_ordered_classes_are_probabilities_of_their_own() -> None:
    module = Ending(3, "sigmoid")
    arrays = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    network = adapt(module, TABLE, GRADES).eval()
    try_out(network, [arrays], GRADES, module)
    above = np.cumprod(module(torch.from_numpy(arrays)).detach().numpy(), axis=1)
    wanted = np.hstack([np.ones((8, 1)), above]) - np.hstack([above, np.zeros((8, 1))])
    np.testing.assert_allclose(scores_of(network, GRADES, arrays), wanted, atol=1e-6)


def test_probabilities_stay_finite_in_half_precision() -> None:
    network = adapt(Ending(1, "sigmoid"), TABLE, BINARY, "probabilities")
    with torch.autocast("cpu", torch.bfloat16):
        raw = network(torch.full((2, 4), 100.0))
    assert bool(raw.isfinite().all())


class OfTheBatch(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 2))


class AlwaysRandom(nn.Linear):
    def forward(self, table: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.dropout(table, 0.5))


@pytest.mark.parametrize("module", [OfTheBatch(), AlwaysRandom(4, 2)], ids=["batch", "random"])
def test_a_module_whose_answers_depend_on_other_rows_is_refused(module: nn.Module) -> None:
    arrays = [np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)]
    with pytest.raises(TrainError, match=r"eval\(\)|when it is alone|one row must do|more than 1"):
        try_out(adapt(module, TABLE, BINARY), arrays, BINARY, module)


class Looking(nn.Module):
    """Uses what a layer in the middle of a sequence gives."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        between = self.layers[:2](images)
        return torch.cat([between.mean((2, 3)), self.layers[2](between).mean((2, 3))], 1)


def test_a_fast_layout_changes_nothing_while_it_lasts_or_after() -> None:
    images = torch.randn(2, 1, 16, 16)
    row = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(3, 1), nn.ReLU())
    for module in (Looking(), row):
        before, layers = module(images), [str(layer) for layer in module.modules()]
        with fast_layout(module):
            torch.testing.assert_close(module(images), before)
        torch.testing.assert_close(module(images), before)
        assert [str(layer) for layer in module.modules()] == layers


def test_the_module_given_is_not_changed() -> None:
    module = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    network = adapt(module, TABLE, BINARY)
    assert len(module) == 2
    assert all(p is not q for p, q in zip(module.parameters(), network.parameters(), strict=True))


def needs_more(hidden: int) -> nn.Module:
    return nn.Linear(4, hidden)


def test_what_does_not_fit_is_told_before_training() -> None:
    arrays = [np.zeros((4, 4), np.float32)]
    narrow = nn.Linear(3, 2)
    with pytest.raises(TrainError, match="refuses the prepared arrays of shape"):
        try_out(adapt(narrow, TABLE, BINARY), arrays, BINARY, narrow)
    wide = nn.Linear(4, 5)
    with pytest.raises(TrainError, match=r"output of shape \(4, 5\).*needs \(4, 2\)"):
        try_out(adapt(wide, TABLE, BINARY), arrays, BINARY, wide)
    with pytest.raises(ConfigError, match="needs 'hidden'"):
        adapt(needs_more, TABLE, BINARY)
    with pytest.raises(ConfigError, match="is no network"):
        adapt(lambda: 3, TABLE, BINARY)


def test_a_learner_that_takes_no_model_says_so(context: Context) -> None:
    with pytest.raises(ConfigError, match="takes no model"):
        lepta.fit(table(), model=nn.Linear(2, 1), learner="trees", context=context)
    with pytest.raises(TrainError, match="give model="):
        lepta.fit(table(), learner="torch", context=context)


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras")


def reference(keras: Any) -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def test_the_reference_keras_model_trains_exports_and_serves_unchanged(
    keras: Any, context: Context, tmp_path: Path
) -> None:
    data = pictures(48, 128)
    model = reference(keras)
    bundle = lepta.fit(data, model=model, settings=SETTINGS, context=context)
    assert not model.built
    assert model.layers[-1].activation is keras.activations.sigmoid
    assert bundle.manifest.lineage.config["learner"] == "keras"
    assert bundle.signature.inputs[0].shape == (-1, -1, -1, 1)
    path = bundle.save(tmp_path / "keras.lepta")
    local = Predictor(path).scores(data["test"].inputs())
    with start({"keras": path}) as service, lepta.connect(service.url) as client:
        answer = client.predict(data["test"].inputs())
    np.testing.assert_array_equal(answer.scores, local)


def test_what_keras_was_compiled_with_is_heeded(keras: Any) -> None:
    from lepta.models.custom.kerasmodel import compiled

    model = reference(keras)
    assert compiled(model, BINARY)["learning_rate"] == pytest.approx(1e-3)
    smooth = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    model.compile(optimizer=keras.optimizers.AdamW(3e-4, weight_decay=0.01), loss=smooth)
    said = compiled(model, THREE)
    assert said["learning_rate"] == pytest.approx(3e-4)
    assert (said["weight_decay"], said["smoothing"]) == pytest.approx((0.01, 0.1))
    with pytest.raises(ConfigError, match="'categorical_crossentropy', and the task is regression"):
        compiled(model, Regression(target="y"))


def test_an_optimiser_that_would_silently_become_another_is_refused(keras: Any) -> None:
    from lepta.models.custom.kerasmodel import compiled

    model, kinds = reference(keras), keras.optimizers
    falling = kinds.schedules.CosineDecay(1e-3, 100)
    for optimiser, said in (
        (kinds.SGD(0.5, momentum=0.9), "with SGD;"),
        ("rmsprop", "with RMSprop;"),
        (kinds.AdamW(falling), "AdamW with a schedule of the learning rate;"),
        (kinds.Adam(clipnorm=1.0, use_ema=True), "Adam with clipnorm, use_ema;"),
    ):
        model.compile(optimizer=optimiser, loss="binary_crossentropy")
        with pytest.raises(ConfigError, match=said):
            compiled(model, BINARY)


KERAS_FILE = """
import keras
layers = keras.layers
model = keras.Sequential([keras.Input((20, 20, 1)), layers.Flatten(), layers.Dense(1, "sigmoid")])
loss = keras.losses.BinaryFocalCrossentropy(gamma=3.0, label_smoothing=0.1)
model.compile(optimizer=keras.optimizers.Adam(7e-4), loss=loss)

def make():
    return model
"""


@pytest.mark.parametrize(("name", "learner"), [("model", Keras), ("make", Torch)])
def test_what_was_compiled_counts_however_the_model_is_named(
    name: str, learner: Any, keras: Any, tmp_path: Path, context: Context
) -> None:
    (tmp_path / "net.py").write_text(KERAS_FILE)
    chosen = learner(model=f"{tmp_path / 'net.py'}:{name}")
    assert chosen.image_options().size == (20 if learner is Keras else None)
    data = pictures(12, 20)
    front = fit_front(data, style="dense", image=ImageOptions(size=20), context=context)
    _, loop = chosen.build(front, front.run(data, context), data.task)
    assert (loop.learning_rate, loop.focal, loop.smoothing) == pytest.approx((7e-4, 3.0, 0.1))
    own = replace(chosen, loop=replace(chosen.loop, learning_rate=0.02))
    _, loop = own.build(front, front.run(data, context), data.task)
    assert (loop.learning_rate, loop.focal, loop.smoothing) == pytest.approx((0.02, 3.0, 0.1))


@pytest.mark.parametrize("end", ["activation", "layer"])
def test_keras_probabilities_of_any_task_are_taken_back_to_logits(keras: Any, end: str) -> None:
    dense = keras.layers.Dense
    labels = (
        [dense(3, activation="sigmoid")]
        if end == "activation"
        else [dense(3), keras.layers.Activation("sigmoid")]
    )
    classes = (
        [dense(3, activation="softmax")]
        if end == "activation"
        else [dense(3), keras.layers.Softmax()]
    )
    arrays = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    for layers, task in ((labels, LABELS), (classes, THREE)):
        model = keras.Sequential([keras.Input((4,)), *layers])
        network = adapt(model, TABLE, task).eval()
        try_out(network, [arrays], task, "model")
        with torch.no_grad():
            wanted = model(torch.from_numpy(arrays)).numpy()
        np.testing.assert_allclose(scores_of(network, task, arrays), wanted, atol=1e-6)


def test_a_built_keras_model_keeps_weights_layout_and_answers(keras: Any) -> None:
    inputs = keras.Input((8, 8, 3))
    hidden = keras.layers.Rescaling(1 / 255)(inputs)
    hidden = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(hidden))
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(hidden))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
    images = np.random.default_rng(0).uniform(size=(4, 3, 8, 8)).astype(np.float32)
    network = adapt(model, {"scan": images.shape}, THREE).eval()
    with torch.no_grad():
        inside = torch.softmax(network(torch.from_numpy(images)), 1).numpy()
        alone = model(torch.from_numpy(images.transpose(0, 2, 3, 1) * 255)).numpy()
    np.testing.assert_allclose(inside, alone, atol=1e-5)


def test_the_seed_decides_the_first_weights_of_a_keras_model(keras: Any) -> None:
    arrays = np.ones((2, 4), np.float32)

    def first(seed: int) -> Any:
        torch.manual_seed(seed)
        layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)]
        network = adapt(keras.Sequential(layers), TABLE, BINARY)
        try_out(network, [arrays], BINARY, "model")
        return network(torch.from_numpy(arrays)).detach().numpy()

    np.testing.assert_array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))
