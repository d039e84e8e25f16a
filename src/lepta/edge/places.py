"""Where an export goes."""

from __future__ import annotations

from pathlib import Path

from lepta.bundle import Bundle
from lepta.core.errors import ExportError, Where


def file_at(path: Path, suffix: str, bundle: Bundle) -> Path:
    """Return ``path``, with ``suffix`` where it has none.

    Raises:
        ExportError: a folder stands there.
    """
    target = path if path.suffix else path.with_name(path.name + suffix)
    for place in (path, target):
        if place.is_dir():
            raise ExportError(
                "A folder stands where the file should go.",
                where=Where(file=str(place)),
                fix=f"Write to {place / (bundle.manifest.name + suffix)}, or choose another name.",
            )
    return target
