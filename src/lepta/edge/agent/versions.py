"""The bundles that a device holds, which of them predicts, and which it will never take."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Option

from lepta.bundle import Bundle
from lepta.bundle.audit import MANIFEST, SEAL
from lepta.bundle.pack import write_bundle
from lepta.bundle.read import read_bundle, read_manifest
from lepta.core.archive import Limits
from lepta.core.errors import BundleError, EdgeError, LeptaError, Where
from lepta.core.files import sha256, write_text

_POINTER, _REFUSED, _VERSIONS = "current.json", "refused.json", "versions"
S = TypeVar("S", bound=BaseModel)


class Pointer(BaseModel):
    """Which version predicts.

    Attributes:
        current: its digest; empty before the first.
        previous: digest of the one before, kept to go back to.
        trial: whether the current one must still prove itself.
        starts: how often the agent has started during the trial.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    current: str = ""
    previous: str = ""
    trial: bool = False
    starts: int = 0


class Refusal(BaseModel):
    """Why a bundle will not be taken again; the same bundle under another signature may be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seal: str
    reason: str


class Refusals(BaseModel):
    """What was refused, by digest, the latest last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundles: dict[str, Refusal] = Option(default_factory=dict)


class Versions:
    """Bundles in folders named after their digests, and a pointer that is switched atomically.

    Args:
        folder: of the device.

    Raises:
        EdgeError: its state is damaged.
    """

    KEPT_REFUSALS = 20

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pointer = self._read(_POINTER, Pointer)
        self._refused = self._read(_REFUSED, Refusals)

    @property
    def pointer(self) -> Pointer:
        """Which version predicts."""
        return self._pointer

    @property
    def refused(self) -> dict[str, str]:
        """Reasons by digest."""
        return {digest: refusal.reason for digest, refusal in self._refused.bundles.items()}

    def path(self, digest: str) -> Path:
        """Return the folder of a version."""
        return self._folder / _VERSIONS / digest

    def load(self, digest: str, public_key: bytes | None = None) -> Bundle:
        """Read a version.

        Raises:
            BundleError: it is damaged, absent, or not signed by the owner of the key.
        """
        return Bundle.load(self.path(digest), public_key=public_key)

    def add(self, manifest: bytes, seal: bytes | None, members: dict[str, bytes]) -> str:
        """Write a version to the disk; return its digest. It does not predict yet.

        Raises:
            EdgeError: the disk is full.
        """
        digest = sha256(manifest)
        self.path(digest).parent.mkdir(parents=True, exist_ok=True)
        files = {MANIFEST: manifest, **({SEAL: seal} if seal else {}), **members}
        try:
            write_bundle(self.path(digest), files)
        except BundleError as error:
            raise EdgeError(error.what, where=error.where, fix=error.fix) from error
        return digest

    def install(self, bundle: Path, public_key: bytes | None) -> str:
        """Copy a bundle from anywhere; return its digest.

        Raises:
            BundleError: it is damaged or not signed.
        """
        contents = read_bundle(bundle, Limits(), public_key)
        return self.add(contents.raw, contents.seal, dict(contents.members))

    def members(self) -> dict[str, Path]:
        """Return the files of the versions that are held, by the SHA-256 they should have."""
        found: dict[str, Path] = {}
        for digest in (self._pointer.previous, self._pointer.current):
            try:
                listed = read_manifest((self.path(digest) / MANIFEST).read_bytes()).members
            except (OSError, LeptaError):
                continue  # what is absent or damaged gives nothing
            found |= {m.sha256: self.path(digest) / name for name, m in listed.items()}
        return found

    def switch(self, digest: str, *, trial: bool) -> None:
        """Let a version predict; the last one that proved itself is kept."""
        held = self._pointer
        trusted = held.previous if held.trial else held.current
        previous = trusted if trusted != digest else ""
        self._point(Pointer(current=digest, previous=previous, trial=trial and bool(previous)))

    def started(self) -> int:
        """Count a start of the agent; return how many there were during the trial."""
        if self._pointer.trial:
            self._point(self._pointer.model_copy(update={"starts": self._pointer.starts + 1}))
        return self._pointer.starts

    def confirm(self) -> None:
        """End the trial well."""
        self._point(self._pointer.model_copy(update={"trial": False, "starts": 0}))
        self.clean()

    def roll_back(self, reason: str) -> str:
        """Let the version before predict again, and refuse this one; return the refused digest.

        Raises:
            EdgeError: there is none before.
        """
        failed = self._pointer
        if not failed.previous:
            raise EdgeError("There is no version to go back to.")
        self.refuse(failed.current, self.seal(failed.current), reason)
        self._point(Pointer(current=failed.previous))
        self.clean()
        return failed.current

    def refuse(self, digest: str, seal: str, reason: str) -> None:
        """Remember not to take a bundle."""
        kept = {d: r for d, r in self._refused.bundles.items() if d != digest}
        kept[digest] = Refusal(seal=seal, reason=reason)
        latest = dict(list(kept.items())[-self.KEPT_REFUSALS :])
        self._refused = Refusals(bundles=latest)
        write_text(self._folder / _REFUSED, self._refused.model_dump_json(indent=1))

    def refuses(self, digest: str, seal: str) -> bool:
        """Whether a bundle was refused under this signature."""
        found = self._refused.bundles.get(digest)
        return found is not None and found.seal == seal

    def clean(self, keep: str = "") -> None:
        """Delete the versions that nothing points to, but ``keep``."""
        wanted = {self._pointer.current, self._pointer.previous, keep}
        root = self._folder / _VERSIONS
        for path in list(root.iterdir()) if root.is_dir() else []:
            if path.name not in wanted:
                shutil.rmtree(path, ignore_errors=True)

    def seal(self, digest: str) -> str:
        """Return the signature of a version in hexadecimal, empty where there is none."""
        try:
            return (self.path(digest) / SEAL).read_bytes().hex()
        except OSError:
            return ""

    def _point(self, pointer: Pointer) -> None:
        write_text(self._folder / _POINTER, pointer.model_dump_json(indent=1))
        self._pointer = pointer

    def _read(self, name: str, kind: type[S]) -> S:
        path = self._folder / name
        try:
            return kind.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return kind()
        except ValidationError as error:
            raise EdgeError(
                f"The file {name} of the device is damaged.",
                where=Where(file=str(path)),
                fix="Delete it, and give --bundle to begin with.",
            ) from error
