"""What is refused when a page is exported, and where ONNX Runtime Web comes from."""

import json
import shutil
import tarfile

import pytest
from onnx import TensorProto, helper

from lepta.app.cli import main
from lepta.bundle import Bundle
from lepta.core.errors import ConfigError, ExportError
from lepta.core.schema import Kind
from lepta.edge import export
from lepta.edge.browser import PINNED, find_ort_web, ortweb, write_browser
from lepta.tasks import Regression


def with_input(bundle, **changes):
    signature = bundle.signature
    first = signature.inputs[0].model_copy(update=changes)
    inputs = (first, *signature.inputs[1:])
    return bundle.with_manifest(signature=signature.model_copy(update={"inputs": inputs}))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": Kind.AUDIO, "decoder": "audio"},
        {"decoder": "mine"},
        {"options": {"channels": 1, "frame": 2}},
    ],
)
def test_inputs_that_the_page_cannot_read(photographs, tmp_path, changes):
    with pytest.raises(ExportError, match="does not read inputs") as caught:
        export(with_input(photographs, **changes), tmp_path / "web", to="browser")
    assert caught.value.where.field == "photo"
    assert not (tmp_path / "web").exists()


def test_tasks_that_the_page_cannot_show(photographs, tmp_path):
    class Odd(Regression):
        name: str = "odd"

    task = Odd(target="y")
    bundle = Bundle(
        photographs.manifest.model_copy(update={"task": task}),
        {"model.onnx": photographs.read("model.onnx")},
    )
    with pytest.raises(ExportError, match="answers of the task 'odd'"):
        export(bundle, tmp_path / "web", to="browser")


def _graph(operator, **attributes):
    value, image = helper.make_tensor_value_info, ["n", "h", "w", 3]
    node = helper.make_node
    ones = helper.make_tensor("ones", TensorProto.FLOAT, [3], [1.0, 1.0, 1.0])
    nodes = [
        node("Cast", ["image_0"], ["x"], to=TensorProto.FLOAT),
        node(operator, ["x", "ones", "ones"], ["y"], domain="com.microsoft", **attributes),
        node("Identity", ["y"], ["probabilities"]),
    ]
    inputs = [value("image_0", TensorProto.UINT8, image)]
    graph = helper.make_graph(
        nodes, "g", inputs, [value("probabilities", TensorProto.FLOAT, image)], [ones]
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.usefixtures("ort_web")
@pytest.mark.parametrize("operator", ["GroupNorm", "NoSuchThing"])
def test_operators_that_the_runtime_lacks_are_named(photographs, tmp_path, operator):
    options = {"groups": 1, "activation": 0} if operator == "GroupNorm" else {}
    bundle = photographs.with_members({"model.onnx": _graph(operator, **options)})
    with pytest.raises(ExportError, match=f"has no operator .*{operator}"):
        export(bundle, tmp_path / "web", to="browser")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("ort_web")
def test_a_folder_of_ours_is_replaced_and_another_is_not(photographs, tmp_path):
    target = tmp_path / "web"
    target.mkdir()
    export(photographs, target, to="browser")
    (target / "left.txt").write_text("over")
    export(photographs, target, to="browser")
    assert not (target / "left.txt").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    for path in (mine, mine / "thesis.txt"):
        with pytest.raises(ExportError, match="Something else stands"):
            export(photographs, path, to="browser")
    assert (mine / "thesis.txt").read_text() == "years"


@pytest.mark.usefixtures("ort_web")
def test_without_node_the_page_says_that_nothing_was_tested(photographs, tmp_path, monkeypatch):
    which = shutil.which
    monkeypatch.setattr(
        "lepta.edge.browser.check.shutil.which",
        lambda name: None if name == "node" else which(name),
    )
    folder = export(photographs, tmp_path / "web", to="browser")
    facts = json.loads((folder / "model.json").read_text("utf-8"))["facts"]
    assert any("not tested when exported" in text for _, text in facts)


def _package(folder, ort_web, version=PINNED.version):
    (folder / "dist").mkdir(parents=True)
    about = {"name": "onnxruntime-web", "version": version}
    (folder / "package.json").write_text(json.dumps(about))
    for path in (ort_web.script, ort_web.wasm):
        shutil.copyfile(path, folder / "dist" / path.name)
    return folder


def test_an_installed_package_is_taken(ort_web, photographs, tmp_path):
    folder = _package(tmp_path / "node_modules" / "onnxruntime-web", ort_web)
    assert write_browser(photographs, tmp_path / "web", ort_web=folder).is_dir()
    with (folder / "dist" / ortweb.SCRIPT).open("ab") as stream:
        stream.write(b"//")
    with pytest.raises(ExportError, match="is not that of onnxruntime-web"):
        find_ort_web(folder)
    newer = _package(tmp_path / "newer", ort_web, "1.31.0")
    assert find_ort_web(newer).version == "1.31.0"


@pytest.mark.parametrize("content", [None, "{", "[]", '{"name": "left-pad", "version": "1.0.0"}'])
def test_a_folder_without_the_package(tmp_path, content):
    if content is not None:
        (tmp_path / "package.json").write_text(content)
    with pytest.raises(ExportError, match="does not hold the npm package") as caught:
        find_ort_web(tmp_path)
    assert "node_modules/onnxruntime-web" in caught.value.fix


def _npm(folder, script):
    """Put a program called npm first in the search path."""
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(folder)


@pytest.fixture
def away(monkeypatch, tmp_path):
    """A home without a cache."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home" / ".cache" / "lepta"


def test_without_npm(away, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match="npm, which fetches") as caught:
        find_ort_web()
    assert "--ort-web" in caught.value.fix


def test_without_a_network(away, monkeypatch, tmp_path):
    path = _npm(tmp_path / "bin", "echo 'npm error network unreachable' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    with pytest.raises(ExportError, match="network unreachable") as caught:
        find_ort_web()
    assert f"npm pack onnxruntime-web@{PINNED.version}" in caught.value.fix
    assert not away.exists()


def test_an_archive_that_was_tampered_with(away, monkeypatch, tmp_path):
    (tmp_path / "evil.js").write_text("alert(1)")
    with tarfile.open(tmp_path / "evil.tgz", "w:gz") as tar:
        tar.add(tmp_path / "evil.js", f"package/dist/{ortweb.SCRIPT}")
    path = _npm(tmp_path / "bin", f'cp {tmp_path}/evil.tgz "$4/onnxruntime-web.tgz"')
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    with pytest.raises(ExportError, match="SHA-512 differs"):
        find_ort_web()
    assert not away.exists()


def test_a_cache_that_was_tampered_with_is_fetched_again(ort_web, away, monkeypatch, tmp_path):
    kept = away / f"onnxruntime-web-{PINNED.version}"
    kept.mkdir(parents=True)
    shutil.copyfile(ort_web.wasm, kept / ortweb.WASM)
    shutil.copyfile(ort_web.script, kept / ortweb.SCRIPT)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ort_web().script == kept / ortweb.SCRIPT
    (kept / ortweb.SCRIPT).write_text("alert(1)")
    with pytest.raises(ExportError, match="npm, which fetches"):
        find_ort_web()


def test_an_option_of_another_form_is_refused(photographs, tmp_path):
    with pytest.raises(ConfigError, match="'onnx' takes no option 'ort_web'"):
        export(photographs, tmp_path / "x.onnx", ort_web=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_takes_the_package(photographs, tmp_path, capsys):
    bundle = photographs.save(tmp_path / "photos.lepta")
    words = ["export", str(bundle), "--for", "browser", "-o", str(tmp_path / "web")]
    assert main([*words, "--ort-web", str(tmp_path)]) != 0
    assert "does not hold the npm package" in capsys.readouterr().err
