"""Damaged, hostile and foreign bundles: each is refused, in plain words, with the member named."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepta.bundle import Bundle, Limits
from lepta.core.errors import BundleError
from lepta.core.files import sha256


def unpack(bundle: Bundle, tmp_path: Path) -> Path:
    return bundle.save(tmp_path / "folder")


def edit(folder: Path, change) -> Path:
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return folder


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("member", ["card.md", "examples/000.npz", "model.onnx", "profile.json"])
def test_a_flipped_bit_names_the_member(bundle, tmp_path, member):
    folder = unpack(bundle, tmp_path)
    data = bytearray((folder / member).read_bytes())
    data[len(data) // 2] ^= 4
    (folder / member).write_bytes(data)
    with pytest.raises(BundleError, match=member) as caught:
        Bundle.load(folder)
    assert caught.value.where.file == str(folder)
    assert caught.value.fix


@pytest.mark.parametrize("member", ["manifest.json", "card.md", "examples/000.npz", "model.onnx"])
def test_a_flipped_bit_in_a_zip_names_the_member(golden, tmp_path, member):
    data = bytearray(golden.read_bytes())
    with zipfile.ZipFile(golden) as archive:
        info = archive.getinfo(member)
    data[info.header_offset + 30 + len(member) + info.compress_size // 2] ^= 16
    path = tmp_path / "flipped.lepta"
    path.write_bytes(data)
    with pytest.raises(BundleError, match=member):
        Bundle.load(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_damage_is_a_bundle_error_or_harmless(golden, bundle, tmp_path_factory, data):
    original = golden.read_bytes()
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(original))))
    mutated = bytearray(original[:cut])
    for _ in range(data.draw(st.integers(0, 4)) if mutated else 0):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mutated.lepta"
    path.write_bytes(mutated)
    try:
        loaded = Bundle.load(path)
    except BundleError:
        return
    assert loaded == bundle


def test_a_member_too_many_or_too_few(bundle, tmp_path):
    folder = unpack(bundle, tmp_path)
    (folder / "extra.md").write_text("x")
    with pytest.raises(BundleError, match=r"'extra.md' is not listed"):
        Bundle.load(folder)
    (folder / "extra.md").unlink()
    (folder / "card.md").unlink()
    with pytest.raises(BundleError, match=r"'card.md' is listed in the manifest but missing"):
        Bundle.load(folder)


def test_a_size_that_differs_is_told(bundle, tmp_path):
    folder = unpack(bundle, tmp_path)
    (folder / "card.md").write_bytes(b"12")
    with pytest.raises(BundleError, match=r"'card.md' has 2 bytes"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "keras"}, "another format"),
        ({"protocol": 99}, r"newer Lepta \(protocol 99"),
        ({"protocol": 0}, "no valid protocol"),
        ({"protocol": True}, "no valid protocol"),
        ({"protocol": "1"}, "no valid protocol"),
        ({"surprise": 1}, "surprise"),
        ({"task": {"name": "binari"}}, "Did you mean 'binary'"),
        ({"task": None}, "A task is"),
        ({"name": None}, "name: "),
        ({"members": {"card.md": {"sha256": "0", "size": 1}}}, "sha256"),
        ({"name": "\ud800"}, "validate|JSON"),
    ],
)
def test_a_manifest_that_does_not_fit(bundle, tmp_path, change, message):
    folder = edit(unpack(bundle, tmp_path), lambda document: document.update(change))
    with pytest.raises(BundleError, match=message):
        Bundle.load(folder)


def test_a_newer_protocol_says_to_upgrade(bundle, tmp_path):
    folder = edit(unpack(bundle, tmp_path), lambda document: document.update(protocol=2))
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder)
    assert caught.value.fix == "pip install --upgrade lepta"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[1]",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_manifest_that_is_not_strict_json(bundle, tmp_path, text):
    folder = unpack(bundle, tmp_path)
    (folder / "manifest.json").write_bytes(text)
    with pytest.raises(BundleError, match=r"manifest\.json is not"):
        Bundle.load(folder)


def test_a_manifest_nested_without_end(bundle, tmp_path):
    folder = unpack(bundle, tmp_path)
    deep = "[" * 900 + "]" * 900
    edited = (
        (folder / "manifest.json").read_text().replace('"config": {', f'"config": {{"x": {deep},')
    )
    (folder / "manifest.json").write_text(edited)
    with pytest.raises(BundleError, match=r"JSON|validate"):
        Bundle.load(folder)


def test_a_huge_manifest_is_not_parsed(bundle, tmp_path):
    folder = unpack(bundle, tmp_path)
    with (folder / "manifest.json").open("r+b") as stream:
        stream.truncate(17 * 1024**2)
    with pytest.raises(BundleError, match="larger than"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", ["absent.lepta", "absent", "nul\0.lepta"])
def test_nothing_there(tmp_path, name):
    with pytest.raises(BundleError, match="cannot be opened"):
        Bundle.load(tmp_path / name)


def test_other_things_there(tmp_path):
    os.mkfifo(tmp_path / "pipe.lepta")
    (tmp_path / "text.lepta").write_text("hello")
    (tmp_path / "empty").mkdir()
    zipped(tmp_path / "other.lepta", {"a.md": b"1"})
    for name, message in (
        ("pipe.lepta", "neither a file nor a folder"),
        ("text.lepta", "not a zip"),
        ("empty", r"no manifest\.json"),
        ("other.lepta", r"no manifest\.json"),
    ):
        with pytest.raises(BundleError, match=message):
            Bundle.load(tmp_path / name)


@pytest.mark.parametrize(
    "name",
    ["model.pkl", "run.py", "lib.so", "weights.pt", "x.joblib", "README", "a.tar.gz", "A.JSON"],
)
def test_kinds_that_are_code_or_unknown(manifest, name):
    with pytest.raises(BundleError, match="not of a kind"):
        Bundle(manifest, {name: b""})


def test_a_foreign_kind_is_refused_at_load_too(bundle, tmp_path):
    folder = unpack(bundle, tmp_path)
    (folder / "model.pkl").write_bytes(b"x")
    entry = {"sha256": sha256(b"x"), "size": 1}
    edit(folder, lambda document: document["members"].update({"model.pkl": entry}))
    with pytest.raises(BundleError, match=r"'model.pkl' is not of a kind"):
        Bundle.load(folder)


def test_a_graph_is_audited_at_load_though_its_hash_fits(bundle, tmp_path):
    data = bundle.read("model.onnx").replace(b"ai.onnx.ml", b"ai.evil.ml")
    folder = unpack(bundle, tmp_path)
    (folder / "model.onnx").write_bytes(data)
    entry = {"sha256": sha256(data), "size": len(data)}
    edit(folder, lambda document: document["members"].update({"model.onnx": entry}))
    with pytest.raises(BundleError, match=r"unknown domain 'ai\.evil\.ml'") as caught:
        Bundle.load(folder)
    assert caught.value.where.file == str(folder)


@pytest.mark.parametrize(
    "name", ["../a.md", "/a.md", "a\\b.md", "C:a.md", "a//b.md", ".hidden.md", "ä.md", "a\n.md", ""]
)
def test_names_that_are_not_portable(manifest, name):
    with pytest.raises(BundleError, match="cannot name a member"):
        Bundle(manifest, {name: b""})


def test_names_that_are_reserved_or_clash(manifest):
    with pytest.raises(BundleError, match="not of a kind"):
        Bundle(manifest, {"manifest.json": b"{}"})
    with pytest.raises(BundleError, match=r"'A\.md' and 'a\.md' clash"):
        Bundle(manifest, {"A.md": b"", "a.md": b""})
    with pytest.raises(BundleError, match=r"'a\.md' is also a folder"):
        Bundle(manifest, {"a.md": b"", "a.md/b/c.md": b""})


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def npz_of(**entries: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no zip", "not a zip"),
        (npz(x=np.array([{}], dtype=object)), "'x.npy' of a.npz is damaged: it holds Python"),
        (npz_of(x=b"cos\nsystem\n"), "'x.npy'"),
        (npz_of(x=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9,)}")), "size"),
        (
            npz_of(x=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,)}")),
            "size",
        ),
        (npz_of(x=npy("{[]: 1}")), "'x.npy'"),
        (npz_of(x=npy("(" * 3000)), "'x.npy'"),
    ],
)
def test_arrays_are_plain_numbers_and_text(manifest, data, message):
    with pytest.raises(BundleError, match=message):
        Bundle(manifest, {"a.npz": data})


def test_plain_arrays_pass(manifest):
    arrays = npz(a=np.zeros((2, 0)), b=np.array("x"), c=np.asfortranarray(np.ones((2, 3))))
    Bundle(manifest, {"a.npz": arrays})


def test_limits_are_the_callers(golden):
    for limits in (Limits(max_members=4), Limits(max_total=3900), Limits(max_member=800)):
        with pytest.raises(BundleError):
            Bundle.load(golden, limits)
    with pytest.raises(BundleError, match=r"inflate more than 1\.5 times"):
        Bundle.load(golden, Limits(max_ratio=1.5))
    Bundle.load(golden, Limits(max_members=5, max_total=4100, max_member=2500, max_ratio=3))
