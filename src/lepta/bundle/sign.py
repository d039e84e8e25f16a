"""Ed25519 signatures over the exact bytes of manifest.json (RFC 8032)."""

from __future__ import annotations

from typing import Any

from lepta.core.errors import BundleError, missing_extra

_MAKE = "openssl genpkey -algorithm ed25519 -out private.pem"
_PUBLISH = "openssl pkey -in private.pem -pubout -out public.pem"


def sign(manifest: bytes, private_key: bytes | str, password: bytes | None = None) -> bytes:
    """Return the signature (64 bytes) of a manifest.

    Args:
        manifest: the bytes to sign.
        private_key: an Ed25519 private key, PEM.
        password: of the key, where it has one.

    Raises:
        BundleError: the key is none.
        MissingExtraError: cryptography is not installed.
    """
    ed25519, serialization = _cryptography()
    try:
        key = serialization.load_pem_private_key(_bytes(private_key), password)
    except (ValueError, TypeError) as error:
        raise BundleError(f"The private key cannot be read: {error}", fix=_MAKE) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise BundleError("The private key is not an Ed25519 key.", fix=_MAKE)
    return bytes(key.sign(manifest))


def verify(manifest: bytes, seal: bytes | None, public_key: bytes | str) -> None:
    """Check that ``seal`` is the signature of ``manifest`` by the owner of ``public_key`` (PEM).

    Raises:
        BundleError: there is no signature, it is not theirs, or the manifest was altered.
        MissingExtraError: cryptography is not installed.
    """
    key = check_public_key(public_key)
    if seal is None:
        raise BundleError(
            "The bundle is not signed, but a signature was asked for.",
            fix="Ask its author to sign it, or load it without a public key if you trust it.",
        )
    try:
        key.verify(seal, manifest)
    except Exception as error:  # InvalidSignature lives in the optional package
        raise BundleError(
            "The signature does not fit: the bundle was altered or signed by somebody else.",
            fix="Get the bundle again from its author, and check that the key is theirs.",
        ) from error


def check_public_key(public_key: bytes | str) -> Any:
    """Return the Ed25519 key that a PEM text holds.

    Raises:
        BundleError: it holds none.
        MissingExtraError: cryptography is not installed.
    """
    ed25519, serialization = _cryptography()
    try:
        key = serialization.load_pem_public_key(_bytes(public_key))
    except (ValueError, TypeError) as error:
        raise BundleError(f"The public key cannot be read: {error}", fix=_PUBLISH) from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise BundleError("The public key is not an Ed25519 key.", fix=_PUBLISH)
    return key


def _bytes(key: bytes | str) -> bytes:
    return key.encode() if isinstance(key, str) else key


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError as error:
        raise missing_extra("cryptography", "sign", "Signing a bundle") from error
    return ed25519, serialization
