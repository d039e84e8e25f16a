"""What a bundle may hold: names, kinds of files, and nothing that is code."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import numpy as np

from lepta.bundle.graph import audit_onnx
from lepta.core.archive import Limits, SafeZip
from lepta.core.errors import BundleError

MANIFEST, SEAL = "manifest.json", "manifest.sig"
KINDS = frozenset(
    {".html", ".json", ".md", ".npz", ".onnx", ".png", ".safetensors", ".svg", ".txt"}
)
"""Suffixes of the files that a bundle may hold."""
_NAME = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*", re.ASCII)


def audit_names(names: Iterable[str]) -> None:
    """Check the names of a bundle's members, the manifest not among them.

    Raises:
        BundleError: a name is not portable, is reserved, is of a kind that is not allowed, or
            clashes with another on some file system.
    """
    taken: dict[str, str] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        if not _NAME.fullmatch(name):
            raise BundleError(
                f"{name!r} cannot name a member of a bundle.",
                fix="Use letters, digits, '.', '_', '-', and '/' between folders.",
            )
        if path.suffix not in KINDS or name in (MANIFEST, SEAL):
            raise BundleError(
                f"The member {name!r} is not of a kind that a bundle may hold.",
                fix=f"Allowed: {', '.join(sorted(KINDS))}.",
            )
        if name.lower() in taken:
            raise BundleError(f"The members {taken[name.lower()]!r} and {name!r} clash.")
        taken[name.lower()] = name
    for name in taken:
        for folder in PurePosixPath(name).parents:
            if str(folder) in taken:
                raise BundleError(f"The member {taken[str(folder)]!r} is also a folder.")


def audit_members(members: Mapping[str, bytes]) -> None:
    """Check names and contents: every graph is self-contained, every array is plain numbers.

    Raises:
        BundleError: a member is refused; it is named.
    """
    audit_names(members)
    for name, data in members.items():
        if name.endswith(".onnx"):
            audit_onnx(data, name)
        elif name.endswith(".npz"):
            audit_npz(data, name)


def audit_npz(data: bytes, name: str) -> None:
    """Check that an .npz holds arrays of numbers and text only, of the sizes they declare.

    Raises:
        BundleError: it is damaged, or an array holds Python objects.
    """
    with SafeZip(io.BytesIO(data), Limits(), BundleError, label=name) as arrays:
        for entry in arrays.names:
            try:
                _audit_npy(arrays.read(entry))
            except BundleError:
                raise
            except Exception as error:  # NumPy's header parser raises many kinds
                raise BundleError(f"The array {entry!r} of {name} is damaged: {error}") from error


def _audit_npy(data: bytes) -> None:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version} of the .npy format is not known")
    shape, _, dtype = readers[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise ValueError("it is not of the size it declares")
