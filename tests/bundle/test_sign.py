import json
import sys
import zipfile

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from lepta.bundle import Bundle
from lepta.core.errors import BundleError, MissingExtraError


def private(key, password: bytes | None = None) -> bytes:
    lock = form.BestAvailableEncryption(password) if password else form.NoEncryption()
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, lock)


def public(key) -> bytes:
    return key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def key():
    return ed25519.Ed25519PrivateKey.generate()


@pytest.mark.parametrize("name", ["a.lepta", "folder"])
def test_a_signed_bundle_loads_with_the_key_of_its_author(bundle, key, tmp_path, name):
    signed = bundle.sign(private(key))
    assert signed.signed
    assert not bundle.signed
    path = signed.save(tmp_path / name)
    loaded = Bundle.load(path, public_key=public(key).decode())
    loaded.verify(public(key))
    again = loaded.save(tmp_path / f"again-{name}")
    assert Bundle.load(again, public_key=public(key)) == bundle


def test_the_seal_covers_the_exact_bytes_of_the_manifest(bundle, key, tmp_path):
    path = bundle.sign(private(key)).save(tmp_path / "a.lepta")
    with zipfile.ZipFile(path) as archive:
        seal, manifest = archive.read("manifest.sig"), archive.read("manifest.json")
    key.public_key().verify(seal, manifest)
    assert "manifest.sig" not in json.loads(manifest)["members"]


def test_a_bundle_without_signature_is_refused_when_one_is_asked_for(golden, key):
    with pytest.raises(BundleError, match="not signed") as caught:
        Bundle.load(golden, public_key=public(key))
    assert caught.value.where.file == str(golden)


def test_a_signature_by_somebody_else_is_refused(bundle, key, tmp_path):
    other = ed25519.Ed25519PrivateKey.generate()
    path = bundle.sign(private(other)).save(tmp_path / "a.lepta")
    with pytest.raises(BundleError, match="altered or signed by somebody else"):
        Bundle.load(path, public_key=public(key))


def test_an_altered_manifest_is_refused(bundle, key, tmp_path):
    folder = bundle.sign(private(key)).save(tmp_path / "folder")
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"threshold": 0.4', '"threshold": 0.1'))
    Bundle.load(folder)
    with pytest.raises(BundleError, match="altered"):
        Bundle.load(folder, public_key=public(key))


def test_an_altered_member_is_refused(bundle, key, tmp_path):
    folder = bundle.sign(private(key)).save(tmp_path / "folder")
    (folder / "profile.json").write_bytes(b'{"age": {"mean": 11.1}}\n')
    with pytest.raises(BundleError, match=r"profile\.json"):
        Bundle.load(folder, public_key=public(key))


def test_a_seal_of_another_length_is_refused(bundle, key, tmp_path):
    folder = bundle.sign(private(key)).save(tmp_path / "folder")
    (folder / "manifest.sig").write_bytes(b"short")
    with pytest.raises(BundleError, match="64 bytes"):
        Bundle.load(folder)


def test_a_changed_bundle_is_no_longer_signed(bundle, key):
    signed = bundle.sign(private(key))
    assert not signed.with_manifest(name="other").signed
    assert not signed.with_members({"a.md": b""}).signed


def test_keys_that_are_none(bundle, key):
    curve = ec.generate_private_key(ec.SECP256R1())
    signed = bundle.sign(private(key))
    for wrong, message in (
        (b"hello", "private key cannot be read"),
        (public(key), "private key cannot be read"),
        (private(curve), "private key is not an Ed25519 key"),
        (private(key, b"secret"), "private key cannot be read"),
    ):
        with pytest.raises(BundleError, match=message) as caught:
            bundle.sign(wrong)
        assert "openssl" in caught.value.fix
    for wrong, message in (
        ("hello", "public key cannot be read"),
        (private(key), "public key cannot be read"),
        (public(curve), "public key is not an Ed25519 key"),
    ):
        with pytest.raises(BundleError, match=message):
            signed.verify(wrong)


def test_a_key_with_a_password(bundle, key):
    bundle.sign(private(key, b"secret"), password=b"secret").verify(public(key))


def test_without_cryptography_the_command_to_run_is_named(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(MissingExtraError) as caught:
        bundle.sign(b"")
    assert caught.value.fix == "pip install 'lepta[sign]'"
