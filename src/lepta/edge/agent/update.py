"""From what the hub publishes to a version that may predict: fetched, verified, tested."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from lepta.bundle.audit import audit_names
from lepta.bundle.manifest import Manifest
from lepta.bundle.read import MAX_MANIFEST, read_manifest
from lepta.bundle.sign import check_public_key, verify
from lepta.core.errors import BundleError, ConfigError, Where
from lepta.core.files import sha256
from lepta.edge.agent.config import AgentConfig, UpdateConfig
from lepta.edge.agent.download import Downloads
from lepta.edge.agent.link import Link
from lepta.edge.agent.messages import Published
from lepta.edge.agent.trial import try_bundle
from lepta.edge.agent.versions import Versions


class RefusedError(BundleError):
    """A published bundle was refused; it will not be asked for again.

    Attributes:
        digest: of the bundle.
    """

    code = "refused"

    def __init__(self, digest: str, what: str) -> None:
        super().__init__(what)
        self.digest = digest


class Updater:
    """Looks for new bundles and makes them ready.

    Args:
        folder: of the device; downloads are kept in its folder ``download``.
        versions: bundles that the device holds.
        link: line to the hub.
        config: what is taken.
        device: name of the device.
        stopped: whether to stop, asked while a download runs.
    """

    def __init__(
        self,
        folder: Path,
        versions: Versions,
        link: Link,
        config: AgentConfig,
        device: str,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._versions, self._link = versions, link
        self._config, self._threads, self._device = config.update, config.threads, device
        self._key = read_public_key(config.update)
        self.downloads = Downloads(folder / "download", link, stopped)

    def look(self) -> str:
        """Return the digest of a version that is new, verified, tested and on the disk, or "".

        Raises:
            LinkError: the hub does not answer; what was fetched is kept for the next time.
            RefusedError: the bundle is not taken, now and later.
        """
        published = self._link.published(self._device)
        digest = published.digest
        if digest in ("", self._versions.pointer.current):
            return ""
        if self._versions.refuses(digest, published.seal):
            return ""
        try:
            self._prepare(published)
        except BundleError as error:
            raise self.refuse(digest, published.seal, error) from error
        return digest

    def refuse(self, digest: str, seal: str, error: BundleError) -> RefusedError:
        """Remember not to take a bundle, forget its pieces, and return the error that says so."""
        self._versions.refuse(digest, seal, error.what)
        self._versions.clean()
        self.downloads.clear()
        return RefusedError(digest, f"The bundle {digest[:12]} is refused: {error.what}")

    def _prepare(self, published: Published) -> None:
        raw, seal = self._manifest(published)
        manifest = read_manifest(raw)
        self._check(manifest)
        held = self._versions.members()
        members = {
            name: _held(held.get(member.sha256), member.sha256)
            or self.downloads.fetch(member.sha256, member.size)
            for name, member in manifest.members.items()
        }
        digest = self._versions.add(raw, seal, members)
        self._versions.load(digest)
        folder = self._versions.path(digest)
        try_bundle(folder, threads=self._threads, timeout=self._config.test_timeout)

    def _manifest(self, published: Published) -> tuple[bytes, bytes | None]:
        """Fetch the manifest, and believe it only once its signature is verified."""
        if published.size > MAX_MANIFEST:
            raise BundleError(f"Its manifest is larger than {MAX_MANIFEST:,} bytes.")
        seal = bytes.fromhex(published.seal) or None
        if seal is None and not self._config.unsigned:
            raise BundleError("It is not signed.")
        raw = self.downloads.fetch(published.digest, published.size)
        if self._key is not None and seal is not None:
            verify(raw, seal, self._key)
        return raw, seal

    def _check(self, manifest: Manifest) -> None:
        audit_names(manifest.members)
        size = sum(member.size for member in manifest.members.values())
        if size > self._config.limit:
            raise BundleError(f"It has {size:,} bytes; --update.limit is {self._config.limit:,}.")
        current = self._versions.pointer.current
        if not current:
            return
        present = self._versions.load(current).manifest
        if manifest.name != present.name:
            raise BundleError(f"It is called {manifest.name!r}, the one here {present.name!r}.")
        if not self._config.older and _time(manifest) < _time(present):
            raise BundleError(
                f"It was made at {manifest.created}, before the one here ({present.created})."
            )


def read_public_key(config: UpdateConfig) -> bytes | None:
    """Return the key by whose owner bundles must be signed.

    Raises:
        ConfigError: it cannot be read.
        BundleError: it is no such key.
        MissingExtraError: cryptography is not installed.
    """
    if config.public_key is None:
        return None
    try:
        key = config.public_key.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The public key cannot be read: {error.strerror or error}.",
            where=Where(file=str(config.public_key)),
            fix="Give --update.public-key the PEM file of whoever signs the bundles.",
        ) from error
    check_public_key(key)
    return key


def _held(path: Path | None, digest: str) -> bytes | None:
    """Return the content of a file if it is what it should be."""
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if sha256(content) == digest else None


def _time(manifest: Manifest) -> float:
    try:
        return datetime.fromisoformat(manifest.created).timestamp()
    except ValueError as error:
        raise BundleError(f"{manifest.created!r} is not a time.") from error
