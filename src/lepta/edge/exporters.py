"""Write a bundle in the form that a device needs.

A target is a function ``(bundle, path) -> Path`` under a name in :data:`EXPORTERS`; other packages
add theirs by an entry point in the group ``lepta.exporters``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lepta.bundle import Bundle
from lepta.core.errors import ExportError, LeptaError, Where
from lepta.core.files import atomic_write
from lepta.core.registry import Registry

Exporter = Callable[[Bundle, Path], Path]

EXPORTERS = Registry(
    "lepta.exporters",
    "export target",
    {
        "bundle": "lepta.edge.exporters:write_file",
        "c": "lepta.edge.c.exporter:write_c",
        "folder": "lepta.edge.exporters:write_folder",
        "onnx": "lepta.edge.exporters:write_onnx",
    },
)


def export(
    bundle: Bundle | Path | str, path: Path | str, to: str = "onnx", *, strip: bool = False
) -> Path:
    """Write a bundle for a device.

    Args:
        bundle: a bundle or the path of one.
        path: where to write.
        to: "onnx" (the graph alone: decoded values in, final predictions out), "bundle" (one
            file), "folder" (the same, unpacked), or the name of a plug-in.
        strip: leave out what only training needs (the workshop).

    Returns:
        The path written.

    Raises:
        ExportError: it cannot be written there; what stood there is as it was.
        ConfigError: there is no such target.
        BundleError: the bundle is damaged.
    """
    exporter: Exporter = EXPORTERS.get(to)
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    target = Path(path)
    try:
        return exporter(loaded.strip() if strip else loaded, target)
    except OSError as error:
        raise ExportError(
            f"It cannot be written: {error.strerror or error}.",
            where=Where(file=str(target)),
            fix="Check that the folder exists, is yours, and has room.",
        ) from error


def write_onnx(bundle: Bundle, path: Path) -> Path:
    """Write ``model.onnx`` alone.

    Raises:
        ExportError: a folder stands at ``path``.
    """
    if path.is_dir():
        raise ExportError(
            "A folder stands where the file should go.",
            where=Where(file=str(path)),
            fix=f"Write to {path / (bundle.manifest.name + '.onnx')}.",
        )
    with atomic_write(path) as stream:
        stream.write(bundle.read("model.onnx"))
    return path


def write_file(bundle: Bundle, path: Path) -> Path:
    """Write the bundle as one file; ".lepta" is added where the name has no suffix.

    Raises:
        ExportError: a folder stands at ``path``.
    """
    target = path if path.suffix else path.with_name(path.name + ".lepta")
    if target.is_dir():
        raise ExportError(
            "A folder stands where the file should go.",
            where=Where(file=str(target)),
            fix="Choose another name, or write with to='folder'.",
        )
    return _save(bundle, target)


def write_folder(bundle: Bundle, path: Path) -> Path:
    """Write the bundle as a folder of files.

    Raises:
        ExportError: a file stands at ``path``, or a folder that holds something else.
    """
    if path.is_file():
        raise ExportError(
            "A file stands where the folder should go.",
            where=Where(file=str(path)),
            fix="Choose another name, or write with to='bundle'.",
        )
    path.mkdir(exist_ok=True)
    return _save(bundle, path)


def _save(bundle: Bundle, path: Path) -> Path:
    try:
        return bundle.save(path)
    except LeptaError as error:
        raise ExportError(error.what, where=error.where, fix=error.fix) from error
