"""The artefact that flows all the way: a graph, what it means, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lepta.bundle import sign as signing
from lepta.bundle.audit import MANIFEST, SEAL, audit_members
from lepta.bundle.manifest import PROTOCOL, Manifest, Member, Signature
from lepta.bundle.pack import write_bundle
from lepta.bundle.read import Contents, problems, read_bundle, serialise
from lepta.core.archive import Limits
from lepta.core.errors import BundleError, suggest
from lepta.core.files import sha256
from lepta.tasks import Task

WORKSHOP = "workshop/"


class Bundle:
    """A manifest and its members, audited; never changes. Methods that change return another.

    Args:
        manifest: what the bundle says of itself; its ``members`` and ``protocol`` are filled in.
        members: content of each file by name, such as "model.onnx" or "examples/000.npz".

    Raises:
        BundleError: a member is of a kind that is not allowed, or refused by its audit.
    """

    def __init__(self, manifest: Manifest, members: Mapping[str, bytes]) -> None:
        held = {name: bytes(members[name]) for name in sorted(members)}
        audit_members(held)
        listed = {name: Member(sha256=sha256(data), size=len(data)) for name, data in held.items()}
        complete = manifest.model_copy(update={"members": listed, "protocol": PROTOCOL})
        self._contents = Contents(complete, serialise(complete), None, held)

    @classmethod
    def _of(cls, contents: Contents) -> Bundle:
        bundle = cls.__new__(cls)
        bundle._contents = contents
        return bundle

    @classmethod
    def load(
        cls,
        path: Path | str,
        limits: Limits | None = None,
        public_key: bytes | str | None = None,
    ) -> Bundle:
        """Read a bundle from a file or a folder.

        Args:
            path: a ``.lepta`` file, or the folder form of one.
            limits: sizes beyond which it is refused.
            public_key: Ed25519 public key (PEM) by whose owner it must be signed.

        Raises:
            BundleError: it is absent, damaged, unsafe, too large, too new, or not signed.
        """
        return cls._of(read_bundle(Path(path), limits or Limits(), public_key))

    def save(self, path: Path | str) -> Path:
        """Write the bundle, atomically; the same content gives the same bytes.

        Args:
            path: a file; or, without suffix or where a folder stands, a folder. A folder is
                replaced only if it is empty or holds a bundle and nothing else.

        Returns:
            The path.

        Raises:
            BundleError: it cannot be written; what stood there is as it was.
        """
        seal = {SEAL: self._contents.seal} if self._contents.seal is not None else {}
        write_bundle(Path(path), {MANIFEST: self._contents.raw, **seal, **self._contents.members})
        return Path(path)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self._contents.manifest

    @property
    def task(self) -> Task:
        """What the model predicts."""
        return self.manifest.task

    @property
    def signature(self) -> Signature:
        """What goes in and what comes out."""
        return self.manifest.signature

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members, sorted; the manifest is not one."""
        return tuple(sorted(self._contents.members))

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, and so of all content; what ``Lineage.parent`` holds."""
        return sha256(self._contents.raw)

    @property
    def size(self) -> int:
        """Bytes of all members, uncompressed."""
        return sum(member.size for member in self.manifest.members.values())

    @property
    def signed(self) -> bool:
        """Whether there is a signature; whose it is, :meth:`verify` tells."""
        return self._contents.seal is not None

    def read(self, name: str) -> bytes:
        """Return a member's content.

        Raises:
            BundleError: there is no such member.
        """
        try:
            return self._contents.members[name]
        except KeyError:
            if name in self.manifest.members:
                raise BundleError(
                    f"The content of {name!r} was let go to save memory.",
                    fix="Load the bundle again: lepta.Bundle.load(path).",
                ) from None
            raise BundleError(
                f"The bundle {self.manifest.name!r} has no {name!r}.{suggest(name, self.names)}",
                fix=f"It has: {', '.join(self.names) or 'nothing'}.",
            ) from None

    def with_members(self, members: Mapping[str, bytes]) -> Bundle:
        """Return a bundle with ``members`` added, or put in place of those of the same name."""
        return Bundle(self.manifest, {**self._contents.members, **members})

    def with_manifest(self, **changes: Any) -> Bundle:
        """Return a bundle whose manifest has ``changes``.

        Raises:
            BundleError: a field is unknown or its value does not validate.
        """
        held = {name: getattr(self.manifest, name) for name in Manifest.model_fields}
        for name in changes:
            if name not in held:
                raise BundleError(f"A manifest has no field {name!r}.{suggest(name, held)}")
        try:
            changed = Manifest.model_validate({**held, **changes})
        except ValidationError as error:
            raise BundleError(f"The manifest does not validate:\n{problems(error)}") from error
        return Bundle(changed, self._contents.members)

    def strip(self) -> Bundle:
        """Return the bundle without its workshop: all that predicts, nothing to train on with."""
        kept = {n: data for n, data in self._contents.members.items() if not n.startswith(WORKSHOP)}
        return Bundle(self.manifest, kept)

    def let_go(self, name: str) -> Bundle:
        """Return the bundle without the content of a member, to save memory.

        Manifest and digest stay; reading the member raises :class:`BundleError`.
        """
        held = self._contents
        kept = {n: data for n, data in held.members.items() if n != name}
        return Bundle._of(Contents(held.manifest, held.raw, held.seal, kept))

    def sign(self, private_key: bytes | str, password: bytes | None = None) -> Bundle:
        """Return the bundle with an Ed25519 signature over its manifest, and so over all members.

        Args:
            private_key: an Ed25519 private key, PEM.
            password: of the key, where it has one.

        Raises:
            BundleError: the key is none.
            MissingExtraError: cryptography is not installed (``lepta[sign]``).
        """
        raw = self._contents.raw
        seal = signing.sign(raw, private_key, password)
        return Bundle._of(Contents(self.manifest, raw, seal, self._contents.members))

    def verify(self, public_key: bytes | str) -> None:
        """Check that the owner of ``public_key`` (PEM) signed this bundle.

        Raises:
            BundleError: there is no signature, or it is not theirs.
            MissingExtraError: cryptography is not installed (``lepta[sign]``).
        """
        signing.verify(self._contents.raw, self._contents.seal, public_key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundle) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        kind = type(self.task).__name__.lower()
        return (
            f"<Bundle {self.manifest.name!r}: {kind}, {len(self.names)} members, {self.size:,} B>"
        )
