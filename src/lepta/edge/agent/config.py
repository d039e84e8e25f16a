"""Options of a device's agent and of a hub."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field as Option
from pydantic.config import JsonDict

from lepta.core.config import Config, Seconds

MIB = 1024**2
_FILE: JsonDict = {"metavar": "FILE"}
_FOLDER: JsonDict = {"metavar": "FOLDER"}


class ListenConfig(Config):
    """How an HTTP endpoint listens and what it refuses; sizes are bytes."""

    host: str = Option(default="127.0.0.1", description="Address to listen on.")
    port: int = Option(default=8090, ge=0, le=65535, description="Port; 0 picks a free one.")
    max_body: int = Option(
        default=16 * MIB, ge=1, description="Largest request body, in bytes; else 413."
    )
    connections: int = Option(
        default=64, ge=1, description="Open connections; further ones are answered 503."
    )
    timeout: Seconds = Option(
        default=30.0, gt=0, description="Time that a client may keep silent before it is cut off."
    )


class WindowConfig(Config):
    """When what was seen becomes a record, and how small a count may be told."""

    seconds: Seconds = Option(default=300.0, gt=0, description="Time after which a window ends.")
    rows: int = Option(default=10_000, ge=1, description="Rows after which a window ends.")
    least: int = Option(
        default=5,
        ge=1,
        description="Labels, answers and bins of fewer rows are not told; they are pooled.",
    )


class SpoolConfig(Config):
    """How much a device keeps for a hub that cannot be reached; sizes are bytes."""

    limit: int = Option(
        default=64 * MIB,
        ge=1,
        description="Size of the spool; beyond, the oldest segment is dropped, counted and told.",
    )
    segment: int = Option(
        default=256 * 1024, ge=1, description="Size after which a new segment file begins."
    )


class LinkConfig(Config):
    """Where the hub is and how it is reached."""

    url: str = Option(
        default="",
        description="The hub, such as https://hub.example.org; without one, records stay here.",
        json_schema_extra={"metavar": "URL"},
    )
    key_file: Path | None = Option(
        default=None,
        description="File that holds the hub's API key (a hub writes it as HUB/key).",
        json_schema_extra=_FILE,
    )
    ca_file: Path | None = Option(
        default=None,
        description="Certificates (PEM) to trust for https; the system's by default.",
        json_schema_extra=_FILE,
    )
    every: Seconds = Option(default=30.0, gt=0, description="Time between deliveries.")
    batch: int = Option(default=256, ge=1, description="Records in one delivery.")
    timeout: Seconds = Option(default=30.0, gt=0, description="Time to wait for the hub.")
    backoff: Seconds = Option(
        default=1.0, gt=0, description="Longest wait after the first failure; it doubles each time."
    )
    longest: Seconds = Option(default=300.0, gt=0, description="Longest wait after any failure.")


class UpdateConfig(Config):
    """Which new bundles a device takes, and when it goes back."""

    enabled: bool = Option(default=True, description="Take the bundles that the hub publishes.")
    public_key: Path | None = Option(
        default=None,
        description="Ed25519 public key (PEM) by whose owner bundles must be signed.",
        json_schema_extra=_FILE,
    )
    unsigned: bool = Option(
        default=False, description="Take bundles that nobody signed; for trials only."
    )
    older: bool = Option(
        default=False, description="Take bundles that were made before the present one."
    )
    every: Seconds = Option(default=300.0, gt=0, description="Time between looks at the hub.")
    limit: int = Option(
        default=2048 * MIB, ge=1, description="Largest bundle to take, in bytes, unpacked."
    )
    test_timeout: Seconds = Option(
        default=120.0, gt=0, description="Time that the self-test of a new bundle may take."
    )
    trial_rows: int = Option(
        default=200, ge=1, description="Rows that a new bundle must predict before it is trusted."
    )
    trial_time: Seconds = Option(
        default=3600.0, gt=0, description="Time after which it is trusted with fewer rows."
    )
    max_failures: float = Option(
        default=0.02,
        ge=0,
        le=1,
        description="Share of those rows that may fail where the bundle before did not.",
    )
    max_starts: int = Option(
        default=5, ge=1, description="Starts of the agent during a trial; after more it goes back."
    )


class WatchConfig(Config):
    """A folder whose files are predicted."""

    inbox: Path | None = Option(
        default=None,
        description="Folder to watch: files of media, or tables (.csv, .jsonl).",
        json_schema_extra=_FOLDER,
    )
    outbox: Path | None = Option(
        default=None,
        description="Folder for answers, NAME.json for each file; INBOX/answers by default.",
        json_schema_extra=_FOLDER,
    )
    every: Seconds = Option(default=1.0, gt=0, description="Time between looks.")
    settle: Seconds = Option(
        default=1.0, ge=0, description="Time that a file must not have changed before it is read."
    )
    keep: bool = Option(
        default=True, description="Move read files to INBOX/done; else delete them."
    )


class AgentConfig(ListenConfig):
    """All that an agent is told."""

    device: str = Option(
        default="",
        pattern=r"^[\w.-]{0,64}$",
        description="Name of this device; one is made up and kept where none is given.",
    )
    listen: bool = Option(default=True, description="Answer predictions over HTTP.")
    threads: int = Option(default=1, ge=1, description="Threads within one prediction.")
    max_rows: int = Option(default=1000, ge=1, description="Rows in one request; else 413.")
    hub: LinkConfig = Option(default=LinkConfig(), description="The hub and the way to it.")
    update: UpdateConfig = Option(default=UpdateConfig(), description="New bundles.")
    window: WindowConfig = Option(default=WindowConfig(), description="What is told, and when.")
    spool: SpoolConfig = Option(default=SpoolConfig(), description="What waits to be told.")
    watch: WatchConfig = Option(default=WatchConfig(), description="A folder to predict.")


class HubConfig(ListenConfig):
    """All that a hub is told."""

    port: int = Option(default=8091, ge=0, le=65535, description="Port; 0 picks a free one.")
