"""Read a bundle: parse, audit, and only then hand over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lepta.bundle.audit import MANIFEST, SEAL, audit_members
from lepta.bundle.manifest import Manifest, Member
from lepta.bundle.migrate import Document, migrate
from lepta.bundle.sign import verify
from lepta.core.archive import Archive, Limits, open_archive
from lepta.core.errors import BundleError, LeptaError, Where
from lepta.core.files import sha256

MAX_MANIFEST = 16 * 1024**2
_SEAL_SIZE = 64
_DAMAGED = "Copy or download the bundle again."


@dataclass(frozen=True)
class Contents:
    """An audited bundle in parts.

    Attributes:
        manifest: in the protocol of today.
        raw: bytes of ``manifest.json`` as they were read, in whatever protocol.
        seal: Ed25519 signature over ``raw``.
        members: content of every other file.
    """

    manifest: Manifest
    raw: bytes
    seal: bytes | None
    members: Mapping[str, bytes]


def read_bundle(path: Path, limits: Limits, public_key: bytes | str | None) -> Contents:
    """Read the bundle at ``path``, a zip or a folder.

    Raises:
        BundleError: it is absent, damaged, unsafe, too large, too new, or not signed by the
            owner of ``public_key`` where one is given; the file is named.
    """
    try:
        with open_archive(path, limits, BundleError) as archive:
            return _read(archive, public_key)
    except BundleError as error:
        if error.where is None:
            error.where = Where(file=str(path))
        raise


def _read(archive: Archive, public_key: bytes | str | None) -> Contents:
    if MANIFEST not in archive:
        raise BundleError(f"This is not a bundle: it has no {MANIFEST}.")
    if archive.size(MANIFEST) > MAX_MANIFEST:
        raise BundleError(f"{MANIFEST} is larger than {MAX_MANIFEST:,} bytes.")
    raw = archive.read(MANIFEST)
    seal = _read_seal(archive)
    if public_key is not None:
        verify(raw, seal, public_key)
    manifest = read_manifest(raw)
    _check_listing(manifest, archive)
    members = {
        name: _check_content(name, archive.read(name), entry)
        for name, entry in manifest.members.items()
    }
    audit_members(members)
    return Contents(manifest, raw, seal, members)


def _read_seal(archive: Archive) -> bytes | None:
    if SEAL not in archive:
        return None
    if archive.size(SEAL) != _SEAL_SIZE:
        raise BundleError(f"{SEAL} is not a signature of {_SEAL_SIZE} bytes.", fix=_DAMAGED)
    return archive.read(SEAL)


def read_manifest(raw: bytes) -> Manifest:
    """Return the typed manifest that ``manifest.json`` holds, in whatever protocol.

    Raises:
        BundleError: it is damaged, too new, or a field is wrong.
    """
    return parse_manifest(migrate(parse_document(raw)))


def parse_document(raw: bytes) -> Document:
    """Return the JSON object in ``raw``.

    Raises:
        BundleError: it is not strict JSON, or not an object.
    """
    try:
        document = json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST} is not valid JSON: {error}", fix=_DAMAGED) from error
    if not isinstance(document, dict):
        raise BundleError(f"{MANIFEST} is not a JSON object.", fix=_DAMAGED)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands more than once in one object")
    return document


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def parse_manifest(document: Document) -> Manifest:
    """Return the typed manifest.

    Raises:
        BundleError: a field is missing, unknown or wrong; every one is named.
    """
    try:
        manifest = Manifest.model_validate(document)
        serialise(manifest)
    except ValidationError as error:
        raise BundleError(f"{MANIFEST} does not validate:\n{problems(error)}") from error
    except LeptaError as error:
        raise BundleError(f"{MANIFEST} does not validate: {error.what}", fix=error.fix) from error
    return manifest


def problems(error: ValidationError) -> str:
    """Return what a validation found, one line a field."""
    return "\n".join(
        f"  {'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()
    )


def serialise(manifest: Manifest) -> bytes:
    """Return the bytes of ``manifest.json``.

    Raises:
        BundleError: a value is not JSON (a NaN, an object).
    """
    try:
        document = manifest.model_dump(mode="json")
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8") + b"\n"
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(
            f"The manifest cannot be written as JSON: {error}", fix="Use plain, finite values."
        ) from error


def _check_listing(manifest: Manifest, archive: Archive) -> None:
    found = set(archive.names) - {MANIFEST, SEAL}
    if extra := sorted(found - manifest.members.keys()):
        raise BundleError(f"{_quoted(extra)} not listed in the manifest.", fix=_DAMAGED)
    if lost := sorted(manifest.members.keys() - found):
        raise BundleError(f"{_quoted(lost)} listed in the manifest but missing.", fix=_DAMAGED)
    for name, entry in manifest.members.items():
        if archive.size(name) != entry.size:
            raise BundleError(
                f"The member {name!r} has {archive.size(name):,} bytes, the manifest says "
                f"{entry.size:,}.",
                fix=_DAMAGED,
            )


def _quoted(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:3])) + (" and more" if len(names) > 3 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"


def _check_content(name: str, data: bytes, entry: Member) -> bytes:
    if sha256(data) != entry.sha256:
        raise BundleError(
            f"The member {name!r} is damaged: its content is not what the manifest lists.",
            fix=_DAMAGED,
        )
    return data
