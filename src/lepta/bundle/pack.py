"""Write a bundle, as a zip or a folder: atomically, and the same bytes for the same content."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from lepta.bundle.audit import MANIFEST, SEAL
from lepta.bundle.read import MAX_MANIFEST, parse_document
from lepta.core.archive import SafeFolder
from lepta.core.errors import BundleError, LeptaError, Where
from lepta.core.files import atomic_folder, atomic_write

_EPOCH = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16
_STORED_KINDS = (".npz", ".png", ".safetensors", ".sig")
_LOW, _HIGH = 1.1, 100.0
"""Compression ratios worth having; above, a reader would take the member for a zip bomb."""
_SMALL = 8 << 20
"""Bytes up to which all of a member is tried; of a larger one first a sample."""


def write_bundle(path: Path, files: Mapping[str, bytes]) -> None:
    """Write ``files`` (manifest first) to ``path``: a folder if it has no suffix or is one.

    Raises:
        BundleError: the place cannot be written, or a folder stands there that is no bundle.
    """
    try:
        if path.is_dir() or not path.suffix:
            _write_folder(path, files)
        else:
            with atomic_write(path) as stream:
                _write_zip(stream, files)
    except (OSError, ValueError) as error:
        raise BundleError(
            f"The bundle cannot be written: {getattr(error, 'strerror', None) or error}.",
            where=Where(file=str(path)),
            fix="Check that the folder exists, may be written, and has space left.",
        ) from error


def _write_zip(stream: BinaryIO, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = 3, _PLAIN_FILE
            info.compress_type = _method(name, data)
            archive.writestr(info, data)


def _method(name: str, data: bytes) -> int:
    if name.endswith(_STORED_KINDS):
        return zipfile.ZIP_STORED
    middle = data[len(data) // 2 :][: 1 << 20]
    for sample in (data,) if len(data) <= _SMALL else (middle, data):
        if not _LOW < len(sample) / len(zlib.compress(sample)) < _HIGH:
            return zipfile.ZIP_STORED
    return zipfile.ZIP_DEFLATED


def _write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    if path.exists() and not _may_replace(path):
        raise BundleError(
            "Something stands there that is not a bundle; it is left as it is.",
            where=Where(file=str(path)),
            fix="Choose another name, or a name that ends in '.lepta' to write one file.",
        )
    with atomic_folder(path) as folder:
        for name, data in files.items():
            member = folder / name
            member.parent.mkdir(parents=True, exist_ok=True)
            member.write_bytes(data)


def _may_replace(path: Path) -> bool:
    """Whether ``path`` is an empty folder, or one that holds a bundle and not a file more."""
    if not path.is_dir():
        return False
    try:
        with SafeFolder(path, error=BundleError) as folder:
            if not any(path.iterdir()):
                return True
            if MANIFEST not in folder or folder.size(MANIFEST) > MAX_MANIFEST:
                return False
            document = parse_document(folder.read(MANIFEST))
            names = set(folder.names)
    except LeptaError:
        return False
    members = document.get("members")
    return (
        document.get("format") == "lepta"
        and isinstance(members, dict)
        and names <= {*members, MANIFEST, SEAL}
    )
