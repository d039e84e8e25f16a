import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lepta.bundle
from lepta.bundle import Bundle, InputSpec, Limits, Lineage, Measured, TensorSpec
from lepta.core.errors import BundleError
from lepta.core.files import sha256
from lepta.core.schema import Kind

SEGMENT = st.from_regex(r"\A[a-z0-9_]{1,8}\Z")
NAME = st.builds(
    lambda folders, stem, kind: "/".join([*folders, stem + kind]),
    st.lists(SEGMENT, max_size=2),
    SEGMENT,
    st.sampled_from([".json", ".md", ".txt", ".html", ".svg", ".png", ".safetensors"]),
)
CONTENT = st.one_of(
    st.binary(max_size=2000),
    st.integers(0, 300_000).map(bytes),
    st.text(max_size=500).map(str.encode),
)


@settings(max_examples=25, deadline=None)
@given(members=st.dictionaries(NAME, CONTENT, max_size=4))
def test_memory_zip_and_folder_hold_the_same(members, manifest):
    made = Bundle(manifest, members)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        zipped = Bundle.load(made.save(root / "a.lepta"))
        foldered = Bundle.load(zipped.save(root / "folder"))
        again = foldered.save(root / "b.lepta")
        assert again.read_bytes() == (root / "a.lepta").read_bytes()
    assert made == zipped == foldered
    assert {name: foldered.read(name) for name in foldered.names} == members
    assert foldered.manifest == made.manifest


def test_the_bundle_fills_in_hashes_and_sizes(manifest):
    bundle = Bundle(manifest, {"card.md": b"# Hi"})
    entry = bundle.manifest.members["card.md"]
    assert (entry.sha256, entry.size) == (sha256(b"# Hi"), 4)
    assert manifest.members == {}
    assert bundle.size == 4


def test_same_content_in_another_order_gives_the_same_bytes(manifest, tmp_path):
    first = Bundle(manifest, {"a.md": b"1", "b/c.txt": b"2"}).save(tmp_path / "1.lepta")
    second = Bundle(manifest, {"b/c.txt": b"2", "a.md": b"1"}).save(tmp_path / "2.lepta")
    assert first.read_bytes() == second.read_bytes()


def test_what_is_saved_can_be_loaded_however_well_it_compresses(manifest, tmp_path):
    zeros, mixed = bytes(20_000_000), b"word " * 1000 + bytes(range(256)) * 100
    bundle = Bundle(manifest, {"a.txt": zeros, "b.txt": mixed, "c.txt": b""})
    assert Bundle.load(bundle.save(tmp_path / "a.lepta")) == bundle


def test_what_compresses_in_part_is_compressed(manifest, tmp_path):
    noise = np.random.default_rng(0).bytes(20_000)
    member = b"a tree " * 3000 + noise
    bundle = Bundle(manifest, {"report.html": member})
    assert bundle.save(tmp_path / "b.lepta").stat().st_size < len(member)


def test_with_members_adds_and_replaces(bundle):
    other = bundle.with_members({"card.md": b"new", "report.html": b"<p>"})
    assert other.read("card.md") == b"new"
    assert other.read("model.onnx") == bundle.read("model.onnx")
    assert "report.html" not in bundle.names
    assert other != bundle


def test_with_manifest_changes_and_validates(bundle):
    other = bundle.with_manifest(
        name="other", notes=("n",), metrics=(Measured(name="f1", value=1),)
    )
    assert (other.manifest.name, other.manifest.metrics[0].value) == ("other", 1.0)
    assert other.manifest.members == bundle.manifest.members
    with pytest.raises(BundleError, match="Did you mean 'metrics'"):
        bundle.with_manifest(metrcs=())
    with pytest.raises(BundleError, match="name: "):
        bundle.with_manifest(name=3)


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_a_manifest_holds_json_only(bundle, value):
    with pytest.raises(BundleError, match="JSON"):
        bundle.with_manifest(lineage=Lineage(config={"x": value}))


def test_strip_drops_the_workshop_only(bundle):
    full = bundle.with_members({"workshop/recipe.json": b"{}", "workshop/w.safetensors": b"1"})
    assert full.strip() == bundle


def test_what_was_let_go_is_still_listed(bundle):
    light = bundle.let_go("model.onnx")
    assert light.digest == bundle.digest
    assert "model.onnx" in light.manifest.members
    with pytest.raises(BundleError, match=r"'model.onnx' was let go"):
        light.read("model.onnx")
    assert bundle.read("model.onnx")


def test_a_missing_member_is_named_with_the_nearest(bundle):
    with pytest.raises(BundleError, match=r"'model.onx'. Did you mean 'model.onnx'\?"):
        bundle.read("model.onx")


def test_a_bundle_shows_what_it_is(bundle):
    assert repr(bundle) == "<Bundle 'golden': binary, 4 members, 1,515 B>"
    assert len({bundle, bundle.strip()}) == 1
    assert bundle != "golden"


def test_a_signature_refers_to_its_inputs():
    spec = InputSpec(name="x", kind=Kind.NUMBER, dtype="float32", shape=(-1,))
    tensor = TensorSpec(name="t", dtype="float32", shape=(-1, 1), fields=("z",))
    with pytest.raises(ValueError, match="no input 'z'"):
        lepta.bundle.Signature(inputs=(spec,), tensors=(tensor,), outputs=())
    with pytest.raises(ValueError, match="input 'x' stands more than once"):
        lepta.bundle.Signature(inputs=(spec, spec), tensors=(), outputs=())


def test_a_folder_that_is_a_bundle_is_replaced(bundle, tmp_path):
    target = tmp_path / "model"
    bundle.with_members({"report.html": b"old"}).save(target)
    assert bundle.save(target) == target
    assert not (target / "report.html").exists()
    assert Bundle.load(target) == bundle
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_empty_folder_is_filled(bundle, tmp_path):
    (tmp_path / "model.lepta").mkdir()
    bundle.save(tmp_path / "model.lepta")
    assert (tmp_path / "model.lepta" / "manifest.json").is_file()
    assert Bundle.load(tmp_path / "model.lepta") == bundle


@pytest.mark.parametrize("extra", ["notes.docx", "sub/thesis.md"])
def test_a_folder_with_files_of_somebody_is_left_alone(bundle, tmp_path, extra):
    target = bundle.save(tmp_path / "model")
    (target / extra).parent.mkdir(exist_ok=True)
    (target / extra).write_text("mine")
    with pytest.raises(BundleError, match="not a bundle"):
        bundle.save(target)
    assert (target / extra).read_text() == "mine"


@pytest.mark.parametrize("manifest", ["{", "[]", '{"format": "other", "members": {}}', "{}"])
def test_a_folder_with_another_manifest_is_left_alone(bundle, tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(BundleError, match="not a bundle"):
        bundle.save(tmp_path)
    assert (tmp_path / "manifest.json").read_text() == manifest


def test_a_file_is_not_replaced_by_a_folder(bundle, tmp_path):
    (tmp_path / "model").write_text("mine")
    with pytest.raises(BundleError, match="not a bundle"):
        bundle.save(tmp_path / "model")
    assert (tmp_path / "model").read_text() == "mine"


@pytest.mark.parametrize("name", ["absent/a.lepta", "absent/folder", "nul\0.lepta", "nul\0"])
def test_a_place_that_cannot_be_written_is_a_plain_error(bundle, tmp_path, name):
    with pytest.raises(BundleError, match="cannot be written"):
        bundle.save(tmp_path / name)


def test_public_names_load_lazily():
    for name in lepta.bundle.__all__:
        assert getattr(lepta.bundle, name) is not None
    with pytest.raises(AttributeError):
        lepta.bundle.nothing  # noqa: B018
    assert Limits().max_members > 0


def test_loading_needs_numpy_and_pydantic_only(golden):
    code = (
        "import sys\nfrom lepta.bundle import Bundle\n"
        f"Bundle.load({str(golden)!r})\n"
        "print([m for m in ('onnx','onnxruntime','torch','cryptography','google') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
