"""Let the devices of a hub have a bundle; a hub that runs in the folder need not be told.

Devices fetch only the pieces that they lack. Without --devices every device takes it.

Examples:
  lepta edge publish fleet ct.lepta --devices ward-3      # try it on one device first
  lepta edge publish fleet ct.lepta
  lepta edge publish fleet ct.lepta --private-key private.pem
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field as Option

from lepta.app.output import show
from lepta.core.config import Config
from lepta.core.events import Context


class Options(Config):
    """Options of ``lepta edge publish``."""

    folder: Path = Option(
        description="Folder of the hub; made where it is missing.",
        json_schema_extra={"positional": True, "metavar": "FOLDER"},
    )
    bundle: Path = Option(
        description="Bundle to publish: NAME.lepta.",
        json_schema_extra={"positional": True, "metavar": "NAME.lepta"},
    )
    devices: tuple[str, ...] = Option(
        default=(), description="Only these devices take it, to try it out."
    )
    private_key: Path | None = Option(
        default=None,
        description="Ed25519 private key (PEM) to sign the bundle with; better not kept here.",
        json_schema_extra={"metavar": "FILE"},
    )
    unsigned: bool = Option(
        default=False, description="Publish a bundle that nobody signed; for trials only."
    )


def run(options: Options, context: Context) -> int:
    """Publish and name the digest."""
    from lepta.edge.agent.publishing import publish

    key = options.private_key.read_bytes() if options.private_key else None
    published = publish(
        options.folder,
        options.bundle,
        devices=options.devices,
        private_key=key,
        unsigned=options.unsigned,
    )
    show(published.digest)
    return 0
