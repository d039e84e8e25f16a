"""What a device and its hub say to each other: JSON over HTTP, every message a typed class."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic import Field as Option

from lepta.core.errors import ConfigError

DEVICE = r"^[\w.-]{1,64}$"
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal."""
RECORDS, PUBLISHED, OBJECTS, FLEET = "/v1/records", "/v1/published", "/v1/objects", "/v1/fleet"
"""Paths of the hub."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Health(_Message):
    """How a device is.

    Attributes:
        device: its name.
        spool: name of its spool, made anew when its folder is.
        version: SHA-256 of the manifest of the bundle that predicts; empty without one.
        pending: records that wait to be sent after this delivery.
        last: number of the last record.
        dropped: records dropped for lack of room.
        damaged: records lost on a bad disk.
        refused: bundles that it will not take, and why.
    """

    device: str = Option(pattern=DEVICE)
    spool: str = Option(pattern=r"^[0-9a-f]{1,64}$")
    version: str = Option(default="", pattern=r"^([0-9a-f]{64})?$")
    pending: int = Option(default=0, ge=0)
    last: int = Option(default=0, ge=0)
    dropped: int = Option(default=0, ge=0)
    damaged: int = Option(default=0, ge=0)
    refused: dict[Digest, str] = Option(default_factory=dict)


class Delivery(Health):
    """Records on their way to the hub: (number, record), in order."""

    records: tuple[tuple[Annotated[int, Option(ge=1)], dict[str, Any]], ...] = ()


class Receipt(_Message):
    """What the hub has on its disk now.

    Attributes:
        through: number of the last record of the delivery; all of it may be forgotten.
        new: records that the hub did not have.
        known: records that it had: an earlier receipt was lost on its way.
    """

    through: int
    new: int
    known: int


class Published(_Message):
    """The bundle that a device should have.

    Attributes:
        digest: SHA-256 of its manifest; empty where nothing is published.
        size: bytes of the manifest.
        seal: the signature in hexadecimal, empty where there is none.
    """

    digest: str = Option(default="", pattern=r"^([0-9a-f]{64})?$")
    size: int = Option(default=0, ge=0)
    seal: str = Option(default="", pattern=r"^([0-9a-f]{128})?$")


def check_device(name: str) -> str:
    """Return the name of a device as it is.

    Raises:
        ConfigError: no device can be called so.
    """
    if not re.fullmatch(DEVICE, name):
        raise ConfigError(
            f"{name!r} cannot name a device.",
            fix="Use up to 64 letters, digits, '_', '.' and '-'.",
        )
    return name
