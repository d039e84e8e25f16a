"""ONNX Runtime Web, the WebAssembly build of ONNX Runtime: two files of the npm package.

The package is not part of Lepta. It is taken from a folder that is named, from the cache, or from
the npm registry that npm is set up for, at one exact version whose hashes stand here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lepta.core.errors import ExportError, Where
from lepta.core.files import atomic_folder, cache_folder, sha256

PACKAGE = "onnxruntime-web"
SCRIPT = "ort.wasm.bundle.min.mjs"
WASM = "ort-wasm-simd-threaded.wasm"
_NPM_SECONDS = 300


@dataclass(frozen=True)
class Pin:
    """One version of the package: the integrity of its archive, and SHA-256 of the files used."""

    version: str
    integrity: str
    files: dict[str, str]


PINNED = Pin(
    version="1.30.0",
    integrity="sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1Sig"
    "qR4CXAfKYQ==",
    files={
        SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
        WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    },
)
"""The version that the tests hold, and that is fetched."""

_REMEDY = (
    f"Where there is a network, run 'npm pack {PACKAGE}@{PINNED.version}', unpack the archive, and "
    "name the folder 'package' with --ort-web."
)


@dataclass(frozen=True)
class OrtWeb:
    """The package at hand: its version, and where its script and its WebAssembly stand."""

    version: str
    script: Path
    wasm: Path


def find_ort_web(folder: Path | str | None = None) -> OrtWeb:
    """Return ONNX Runtime Web: from ``folder``, else from the cache, else by npm.

    Args:
        folder: an installed package (``node_modules/onnxruntime-web``), of any version.

    Raises:
        ExportError: the folder holds no such package, its files are not those of its version, or
            npm is absent or cannot fetch it.
    """
    if folder is not None:
        return _installed(Path(folder))
    kept = cache_folder() / f"{PACKAGE}-{PINNED.version}"
    if not all(_intact(kept / name, name) for name in PINNED.files):
        _fetch(kept)
    return OrtWeb(PINNED.version, kept / SCRIPT, kept / WASM)


def _installed(folder: Path) -> OrtWeb:
    try:
        about = json.loads((folder / "package.json").read_text("utf-8"))
        name, version = about["name"], str(about["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_package(folder) from error
    found = OrtWeb(version, folder / "dist" / SCRIPT, folder / "dist" / WASM)
    if name != PACKAGE or not (found.script.is_file() and found.wasm.is_file()):
        raise _no_package(folder)
    if version == PINNED.version:
        for path in (found.script, found.wasm):
            if not _intact(path, path.name):
                raise ExportError(
                    f"The file is not that of {PACKAGE} {version}.",
                    where=Where(file=str(path)),
                    fix="Install the package again.",
                )
    return found


def _no_package(folder: Path) -> ExportError:
    return ExportError(
        f"The folder does not hold the npm package {PACKAGE}.",
        where=Where(file=str(folder)),
        fix=f"Name the folder that holds its package.json and dist/{WASM}, such as "
        f"node_modules/{PACKAGE}.",
    )


def _intact(path: Path, name: str) -> bool:
    return path.is_file() and sha256(path.read_bytes()) == PINNED.files[name]


def _fetch(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = _pack(Path(folder))
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode("ascii")
        if f"sha512-{digest}" != PINNED.integrity:
            raise ExportError(
                f"The archive that npm fetched is not {PACKAGE} {PINNED.version}: its SHA-512 "
                "differs.",
                fix=f"Look at 'npm config get registry'. {_REMEDY}",
            )
        members = _members(archive)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(target) as temporary:
        for name, data in members.items():
            (temporary / name).write_bytes(data)


def _pack(folder: Path) -> Path:
    """Let npm fetch the archive; it knows the registry and the credentials that are set up."""
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(
            f"npm, which fetches {PACKAGE} {PINNED.version}, is not installed.",
            fix=f"Install Node.js, which brings npm. Or: {_REMEDY}",
        )
    words = [npm, "pack", f"{PACKAGE}@{PINNED.version}", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(  # noqa: S603
            [*words, "--ignore-scripts", "--prefer-offline", "--fetch-retries=1"],
            check=False,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_NPM_SECONDS,
        )
        said = done.stderr.strip().splitlines()[-3:]
    except subprocess.TimeoutExpired:
        said = [f"no answer within {_NPM_SECONDS} seconds"]
    archives = sorted(folder.glob("*.tgz"))
    if len(archives) != 1:
        why = " ".join(said) or "it gave no archive"
        raise ExportError(f"npm cannot fetch {PACKAGE} {PINNED.version}: {why}", fix=_REMEDY)
    return archives[0]


def _members(archive: Path) -> dict[str, bytes]:
    """Return the files used, from an archive whose hash is known."""
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as tar:
        for name in PINNED.files:
            stream = tar.extractfile(f"package/dist/{name}")
            found[name] = stream.read() if stream is not None else b""
    return found
