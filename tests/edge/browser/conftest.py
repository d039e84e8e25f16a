"""A browser, models, and folders exported for it, shared by the tests of this folder."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lepta
from lepta.bundle import Bundle, InputSpec, Manifest, Signature, TensorSpec
from lepta.core.errors import ExportError
from lepta.core.events import Context
from lepta.core.schema import Kind
from lepta.data.simulate import simulate_ct
from lepta.edge.browser import find_ort_web
from lepta.models.graph import Graph
from lepta.tasks import Binary

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture(scope="session")
def ort_web():
    """ONNX Runtime Web, from the cache or the registry; skips where it cannot be had."""
    try:
        return find_ort_web()
    except ExportError as error:
        pytest.skip(f"needs the npm package onnxruntime-web: {error}")


@pytest.fixture(scope="session")
def chrome(tmp_path_factory):
    """One headless browser for all tests; skips where there is none."""
    from chrome import Chrome

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with Chrome(program, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="session")
def context(tmp_path_factory):
    return Context(cache=tmp_path_factory.mktemp("cache"), threads=1)


@pytest.fixture(scope="session")
def scans(context, tmp_path_factory):
    """A network that reads DICOM files, and the folder of those it was trained on."""
    folder = tmp_path_factory.mktemp("scans")
    simulate_ct(folder, patients=10, slices=3, size=48)
    data = lepta.Dataset.read(folder / "labels.csv", target="lesion", group="patient_id")
    settings = {"loop.epochs": 2, "size": 32}
    bundle = lepta.fit(
        data,
        learner="cnn",
        settings=settings,
        audit=False,
        refit=False,
        device="cpu:fp32",
        context=context,
        name="scans",
    )
    return bundle, folder


@pytest.fixture(scope="session")
def loans(context):
    """Trees on numbers, categories and dates with gaps, and the table they were fitted on."""
    rng = np.random.default_rng(0)
    count = 400
    frame = pd.DataFrame(
        {
            "income": rng.normal(3000, 900, count).round(2),
            "grade": rng.choice(["1", "2", "A b"], count),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, count), "D"),
            "town": rng.choice(["Köln", "Rome", "Oslo"], count),
        }
    )
    risk = frame["income"] / 3000 + (frame["grade"] == "2") - (frame["town"] == "Rome") * 0.7
    frame["repaid"] = np.where(risk + rng.normal(0, 0.3, count) > 1.1, "yes", "no")
    frame.loc[::9, "income"] = np.nan
    frame.loc[::11, "grade"] = None
    data = lepta.Dataset.read(frame, target="repaid")
    return lepta.fit(data, learner="trees", context=context, audit=False, name="loans"), frame


@pytest.fixture(scope="session")
def photographs():
    """A small graph on images in colour: resized with antialiasing, weighed, one of two classes."""
    task = Binary(target="warm", classes=("no", "yes"), threshold=0.4)
    graph = Graph()
    image = graph.input("image_0", "uint8", (-1, -1, -1, 3))
    values = graph.op("Transpose", graph.op("Cast", image, to=1), perm=[0, 3, 1, 2])
    rows = graph.op(
        "Slice", graph.op("Shape", values), graph.const([0], "int64"), graph.const([2], "int64")
    )
    sizes = graph.op("Concat", rows, graph.const([8, 8], "int64"), axis=0)
    small = graph.op("Resize", values, "", "", sizes, mode="linear", antialias=1)
    flat = graph.op("Reshape", small, graph.const([-1, 192], "int64"))
    weights = np.random.default_rng(1).normal(0, 0.002, (192, 1))
    yes = graph.op("Sigmoid", graph.op("MatMul", flat, graph.const(weights, "float32")))
    no = graph.op("Sub", graph.const(1.0, "float32"), yes)
    graph.output(graph.op("Concat", no, yes, axis=1), "probabilities", "float32", (-1, 2))
    shape = (-1, -1, -1, 3)
    field = InputSpec(
        name="photo",
        kind=Kind.IMAGE,
        dtype="uint8",
        shape=shape,
        decoder="image",
        options={"channels": 3, "bits": 8},
    )
    tensor = TensorSpec(name="image_0", dtype="uint8", shape=shape, fields=("photo",))
    signature = Signature(inputs=(field,), tensors=(tensor,), outputs=(task.output(),))
    manifest = Manifest(
        name="photos", created="2026-01-01T00:00:00Z", task=task, signature=signature
    )
    return Bundle(manifest, {"model.onnx": graph.build().SerializeToString()})
