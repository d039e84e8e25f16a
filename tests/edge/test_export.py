"""A bundle leaves in every form, and what stood at the target survives a failure."""

import os
from importlib.metadata import EntryPoint

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from lepta.bundle import Bundle
from lepta.bundle.manifest import InputSpec, Manifest, Signature, TensorSpec
from lepta.core.errors import ConfigError, ExportError
from lepta.core.schema import Kind
from lepta.edge import EXPORTERS, export
from lepta.tasks import Regression


@pytest.fixture(scope="module")
def bundle():
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Mul", ["numbers", "two"], ["value"])],
        "g",
        [value("numbers", TensorProto.FLOAT, ["n", 1])],
        [value("value", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.array(2, np.float32), "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    task = Regression(target="y")
    field = InputSpec(name="x", kind=Kind.NUMBER, dtype="float32", shape=(-1,))
    tensor = TensorSpec(name="numbers", dtype="float32", shape=(-1, 1), fields=("x",))
    manifest = Manifest(
        name="double",
        created="2026-01-01T00:00:00Z",
        task=task,
        signature=Signature(inputs=(field,), tensors=(tensor,), outputs=(task.output(),)),
    )
    members = {"model.onnx": model.SerializeToString(), "workshop/recipe.json": b"{}"}
    return Bundle(manifest, members)


def test_onnx_runs_alone(bundle, tmp_path):
    path = export(bundle, tmp_path / "double.onnx")
    session = onnxruntime.InferenceSession(path)
    (answer,) = session.run(None, {"numbers": np.array([[4]], np.float32)})
    assert answer.tolist() == [[8]]


def test_bundle_and_folder_are_the_same_bundle(bundle, tmp_path):
    file = export(bundle, tmp_path / "a", to="bundle")
    folder = export(file, tmp_path / "b.v1", to="folder")
    assert file == tmp_path / "a.lepta"
    assert folder.is_dir()
    assert Bundle.load(file) == Bundle.load(folder) == bundle
    assert export(bundle, folder, to="folder") == folder


def test_strip_leaves_the_workshop_out(bundle, tmp_path):
    path = export(bundle, tmp_path / "small.lepta", to="bundle", strip=True)
    assert Bundle.load(path).names == ("model.onnx",)
    assert "workshop/recipe.json" in bundle.names


@pytest.mark.parametrize("to", ["onnx", "bundle", "folder"])
def test_what_stands_there_is_not_overwritten_by_another_form(bundle, tmp_path, to):
    target = tmp_path / "there.x"
    if to == "folder":
        target.write_text("mine")
    else:
        target.mkdir()
    with pytest.raises(ExportError, match="stands where") as caught:
        export(bundle, target, to=to)
    assert caught.value.fix
    assert target.is_dir() or target.read_text() == "mine"


@pytest.mark.parametrize("to", ["onnx", "bundle", "folder"])
def test_a_missing_folder_is_named(bundle, tmp_path, to):
    with pytest.raises(ExportError) as caught:
        export(bundle, tmp_path / "no" / "where.x", to=to)
    assert "where.x" in str(caught.value)


@pytest.mark.parametrize("to", ["onnx", "bundle"])
def test_a_full_disk_leaves_the_old_file(bundle, tmp_path, monkeypatch, to):
    path = export(bundle, tmp_path / "a.file", to=to)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExportError, match="No space left"):
        export(bundle.with_manifest(name="other"), path, to=to)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_target_is_suggested(bundle, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'onnx'"):
        export(bundle, tmp_path / "x", to="onxx")


def test_plug_ins_add_targets(bundle, tmp_path, monkeypatch):
    point = EntryPoint("copy", "lepta.edge.exporters:write_onnx", "lepta.exporters")

    def points(group, name=None):
        return [point] if group == "lepta.exporters" and name in (None, "copy") else []

    monkeypatch.setattr("lepta.core.registry.entry_points", points)
    assert {"bundle", "copy", "folder", "onnx"} <= set(EXPORTERS.names())
    assert export(bundle, tmp_path / "c", to="copy").exists()
