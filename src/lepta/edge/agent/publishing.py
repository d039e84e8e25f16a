"""What a hub publishes: bundles in pieces, each under the SHA-256 of its content."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Option

from lepta.bundle.read import read_bundle
from lepta.bundle.sign import sign
from lepta.core.archive import Limits
from lepta.core.errors import EdgeError, Where
from lepta.core.files import atomic_write, sha256, write_text
from lepta.edge.agent.messages import Published, check_device

_LIST, _OBJECTS = "published.json", "objects"


class Releases(BaseModel):
    """What devices should have.

    Attributes:
        everyone: the bundle of devices that are not named.
        devices: bundles of those that are, by their names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    everyone: Published = Published()
    devices: dict[str, Published] = Option(default_factory=dict)

    def of(self, device: str) -> Published:
        """Return the bundle that a device should have."""
        return self.devices.get(device, self.everyone)


def publish(
    hub: Path | str,
    bundle: Path | str,
    *,
    devices: Iterable[str] = (),
    private_key: bytes | str | None = None,
    unsigned: bool = False,
) -> Published:
    """Let devices have a bundle; a hub that runs in the folder need not be told.

    Args:
        hub: folder of the hub; made where it is missing.
        bundle: path of the bundle.
        devices: only these take it, to try it out; without any, everyone does, those too that
            were named before.
        private_key: Ed25519 private key (PEM) to sign it with; better used on another machine.
        unsigned: publish a bundle without a signature; few devices take it.

    Raises:
        BundleError: the bundle is damaged, or the key is none.
        ConfigError: a device cannot be called so.
        EdgeError: the bundle is not signed.
        OSError: the folder cannot be written.
    """
    names = [check_device(name) for name in devices]
    contents = read_bundle(Path(bundle), Limits(), None)
    seal = sign(contents.raw, private_key) if private_key is not None else contents.seal
    if seal is None and not unsigned:
        raise EdgeError(
            "The bundle is not signed, so devices would refuse it.",
            where=Where(file=str(bundle)),
            fix="Sign it with --private-key, or publish it with --unsigned for trials.",
        )
    folder = Path(hub)
    (folder / _OBJECTS).mkdir(parents=True, exist_ok=True)
    for content in (*contents.members.values(), contents.raw):
        _store(folder, content)
    release = Published(
        digest=sha256(contents.raw), size=len(contents.raw), seal=seal.hex() if seal else ""
    )
    old = releases(folder)
    changed = (
        Releases(everyone=old.everyone, devices=old.devices | dict.fromkeys(names, release))
        if names
        else Releases(everyone=release)
    )
    write_text(folder / _LIST, changed.model_dump_json(indent=1))
    return release


def releases(hub: Path) -> Releases:
    """Return what a hub publishes.

    Raises:
        EdgeError: the list is damaged.
    """
    path = hub / _LIST
    try:
        return Releases.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Releases()
    except ValidationError as error:
        raise EdgeError(
            "The list of what is published is damaged.",
            where=Where(file=str(path)),
            fix="Delete it and publish again.",
        ) from error


def object_path(hub: Path, digest: str) -> Path:
    """Return where the content of a digest lies; the digest must be one."""
    return hub / _OBJECTS / digest


def _store(hub: Path, content: bytes) -> None:
    path = object_path(hub, sha256(content))
    if not path.exists():
        with atomic_write(path) as stream:
            stream.write(content)
