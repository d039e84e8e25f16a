"""A small real bundle for devices: two numbers and a category to one of two classes."""

import json
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ed25519

from lepta.bundle import Bundle, InputSpec, Manifest, Signature, TensorSpec
from lepta.core.schema import Kind
from lepta.edge.agent import AgentConfig, Hub, HubConfig
from lepta.models.graph import Graph
from lepta.runtime import Predictor
from lepta.runtime.predictor import write_example
from lepta.tasks import Binary

TASK = Binary(target="ill", classes=("no", "yes"))
TENSORS = {
    "numbers": np.array([[30.0, 5.0]], np.float32),
    "categories": np.array([["Rome"]], object),
}
ROW = {"age": 30.0, "weight": 5.0, "city": "Rome"}
SHARED = 300_000
"""Bytes of the member that all versions share."""
CHANGED = 200_000
"""Bytes about which the graphs of any two versions differ."""


def graph(bias: float, seed: int, width: int = 2, *, breaks: bool = False) -> bytes:
    """Return a graph with logit = age / 10 - weight + bias; of breaking ones, NaN from 60 on."""
    made = Graph()
    numbers = made.input("numbers", "float32", (-1, width))
    cities = made.input("categories", "string", (-1, 1))
    weights = np.zeros((width, 1), np.float32)
    weights[:2, 0] = 0.1, -1.0
    logit = made.op("MatMul", numbers, made.const(weights, "float32"))
    rome = made.op(
        "LabelEncoder",
        cities,
        domain="ai.onnx.ml",
        keys_strings=["Rome"],
        values_floats=[1.0],
        default_float=0.0,
    )
    noise = np.random.default_rng(seed).normal(size=CHANGED // 4).astype(np.float32)
    nothing = made.op("Mul", made.const(noise, "float32"), made.const(0.0, "float32"))
    shift = made.op("ReduceSum", nothing, keepdims=0)
    logit = made.op("Add", made.op("Add", logit, rome), made.const(bias, "float32"))
    logit = made.op("Add", logit, shift)
    if breaks:
        age = made.op("Gather", numbers, made.const([0], "int64"), axis=1)
        old = made.op("Greater", age, made.const(59.5, "float32"))
        logit = made.op("Where", old, made.const(np.nan, "float32"), logit)
    finish(made, logit)
    return made.build().SerializeToString()


def finish(made: Graph, logit: str) -> None:
    """End a graph in the probabilities of both classes."""
    yes = made.op("Sigmoid", logit)
    no = made.op("Sub", made.const(1.0, "float32"), yes)
    made.output(made.op("Concat", no, yes, axis=1), "probabilities", "float32", (-1, 2))


def version(number: int, *, name: str = "ward", breaks: bool = False) -> Bundle:
    """Return version ``number`` of the bundle."""
    inputs = (
        InputSpec(name="age", kind=Kind.NUMBER, dtype="float32", shape=(-1,)),
        InputSpec(name="weight", kind=Kind.NUMBER, dtype="float32", shape=(-1,)),
        InputSpec(name="city", kind=Kind.CATEGORY, dtype="string", shape=(-1,)),
    )
    tensors = (
        TensorSpec(name="numbers", dtype="float32", shape=(-1, 2), fields=("age", "weight")),
        TensorSpec(name="categories", dtype="string", shape=(-1, 1), fields=("city",)),
    )
    ages = {"edges": [0, 20, 40, 60, 80, 100], "counts": [1, 1, 1, 1, 1]}
    profile = {
        "rows": 5,
        "fields": {
            "age": {"histogram": ages},
            "city": {"counts": {"Rome": 3, "Oslo": 2}},
        },
    }
    manifest = Manifest(
        name=name,
        created=f"2026-01-{number:02d}T00:00:00+00:00",
        task=TASK,
        signature=Signature(inputs=inputs, tensors=tensors, outputs=(TASK.output(),)),
    )
    members = {
        "model.onnx": graph(number / 10, number, breaks=breaks),
        "profile.json": json.dumps(profile).encode(),
        "workshop/weights.safetensors": np.random.default_rng(0).bytes(SHARED),
    }
    bundle = Bundle(manifest, members)
    expected = Predictor(bundle).run(TENSORS)
    return bundle.with_members({"examples/000.npz": write_example(TENSORS, expected)})


def picture_bundle() -> Bundle:
    """Return a bundle of grey pictures: logit = mean / 100 - 1."""
    made = Graph()
    picture = made.input("scan", "uint8", (-1, -1, -1, 1))
    mean = made.op("ReduceMean", made.op("Cast", picture, to=1), made.const([1, 2], "int64"))
    level = made.op("Reshape", mean, made.const([-1, 1], "int64"))
    share = made.op("Mul", level, made.const(0.01, "float32"))
    finish(made, made.op("Sub", share, made.const(1.0, "float32")))
    shape = (-1, -1, -1, 1)
    field = InputSpec(
        name="scan",
        kind=Kind.IMAGE,
        dtype="uint8",
        shape=shape,
        decoder="image",
        options={"channels": 1, "bits": 8},
    )
    tensor = TensorSpec(name="scan", dtype="uint8", shape=shape, fields=("scan",))
    signature = Signature(inputs=(field,), tensors=(tensor,), outputs=(TASK.output(),))
    manifest = Manifest(
        name="scans", created="2026-01-01T00:00:00+00:00", task=TASK, signature=signature
    )
    return Bundle(manifest, {"model.onnx": made.build().SerializeToString()})


def unlike_its_examples(number: int) -> Bundle:
    """Return a version whose self-test fails."""
    good = version(number)
    example = write_example(TENSORS, np.array([[0.5, 0.5]], np.float32))
    return good.with_members({"examples/000.npz": example})


class Keys:
    """An author's keys, and a stranger's."""

    def __init__(self, folder: Path) -> None:
        self.private, self.stranger = self._make(), self._make()
        self.public_file = folder / "public.pem"
        self.public_file.write_bytes(
            self.private.public_key().public_bytes(
                form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
            )
        )

    @staticmethod
    def _make() -> ed25519.Ed25519PrivateKey:
        return ed25519.Ed25519PrivateKey.generate()

    def pem(self, *, stranger: bool = False) -> bytes:
        key = self.stranger if stranger else self.private
        kind = form.PrivateFormat.PKCS8
        return key.private_bytes(form.Encoding.PEM, kind, form.NoEncryption())


@pytest.fixture(scope="session")
def keys(tmp_path_factory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def versions(tmp_path_factory, keys):
    """Paths of bundles: "1" to "4" are good, "self-test" and "breaking" are newer and bad."""
    folder = tmp_path_factory.mktemp("bundles")
    made = {str(number): version(number) for number in range(1, 5)}
    made |= {
        "self-test": unlike_its_examples(5),
        "breaking": version(6, breaks=True),
        "other": version(7, name="churn"),
    }
    paths = {
        name: bundle.sign(keys.pem()).save(folder / f"{name}.lepta")
        for name, bundle in made.items()
    }
    stranger = version(8).sign(keys.pem(stranger=True))
    paths["stranger"] = stranger.save(folder / "stranger.lepta")
    paths["unsigned"] = version(9).save(folder / "unsigned.lepta")
    return paths


@pytest.fixture
def hub(tmp_path):
    with Hub(tmp_path / "hub", HubConfig(port=0)) as made:
        made.url = made.serve()
        yield made


@pytest.fixture
def settings(hub, keys):
    """Return the configuration of a device that knows the hub."""

    def make(**sections) -> AgentConfig:
        link = {"url": hub.url, "key_file": hub.folder / "key", "timeout": 10, "backoff": 0.05}
        given = {
            "hub": link | sections.pop("hub", {}),
            "update": {"public_key": keys.public_file} | sections.pop("update", {}),
            "listen": False,
        }
        return AgentConfig.parse(given | sections)

    return make
