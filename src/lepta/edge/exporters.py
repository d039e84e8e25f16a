"""Write a bundle in the form that a device needs.

A target is a function ``(bundle, path, **options) -> Path`` under a name in :data:`EXPORTERS`;
other packages add theirs by an entry point in the group ``lepta.exporters``.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

from lepta.bundle import Bundle
from lepta.core.errors import ConfigError, ExportError, LeptaError, Where
from lepta.core.files import atomic_write
from lepta.core.registry import Registry
from lepta.edge.devices import device as find_device
from lepta.edge.places import file_at

Exporter = Callable[..., Path]

EXPORTERS = Registry(
    "lepta.exporters",
    "export target",
    {
        "browser": "lepta.edge.browser:write_browser",
        "bundle": "lepta.edge.exporters:write_file",
        "c": "lepta.edge.c.exporter:write_c",
        "coreml": "lepta.edge.elsewhere:write_coreml",
        "executorch": "lepta.edge.elsewhere:write_executorch",
        "folder": "lepta.edge.exporters:write_folder",
        "litert": "lepta.edge.litert.exporter:write_litert",
        "onnx": "lepta.edge.exporters:write_onnx",
        "openvino": "lepta.edge.openvino:write_openvino",
        "ort": "lepta.edge.ort:write_ort",
    },
)


def export(
    bundle: Bundle | Path | str,
    path: Path | str,
    to: str = "",
    *,
    strip: bool = False,
    device: str = "",
    **options: Any,
) -> Path:
    """Write a bundle for a device.

    Args:
        bundle: a bundle or the path of one.
        path: where to write; the usual suffix is added where the name has none.
        to: "onnx" (the graph alone: decoded values in, final predictions out), "bundle" (one
            file), "folder" (the same, unpacked), "ort" (ONNX Runtime's own format, optimised),
            "openvino" (IR), "litert" (TensorFlow Lite), "c" (C99 that depends on nothing),
            "browser" (a folder with a page), or the name of a plug-in. Empty: what suits
            ``device``, else "onnx".
        strip: leave out what only training needs (the workshop).
        device: "raspberry-pi", "jetson", "phone", "browser" or "cortex-m"
            (``lepta.edge.devices.DEVICES`` says what is chosen for each, and why).
        options: what the target takes besides, such as ``ort_web`` of "browser".

    Returns:
        The path written.

    Raises:
        ExportError: it cannot be written there; what stood there is as it was.
        ConfigError: there is no such target or device, or the target takes no such option.
        BundleError: the bundle is damaged.
    """
    chosen = find_device(device) if device else None
    form = to or (chosen.to if chosen else "onnx")
    exporter: Exporter = EXPORTERS.get(form)
    known = list(signature(exporter).parameters)[2:]
    for name in options:
        if name not in known:
            raise ConfigError(
                f"The form {form!r} takes no option {name!r}.",
                fix=f"It takes: {', '.join(known) or 'none'}.",
            )
    strip = strip or (chosen is not None and chosen.strip)
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    target = Path(path)
    try:
        return exporter(loaded.strip() if strip else loaded, target, **options)
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
    target = file_at(path, ".onnx", bundle)
    with atomic_write(target) as stream:
        stream.write(bundle.read("model.onnx"))
    return target


def write_file(bundle: Bundle, path: Path) -> Path:
    """Write the bundle as one file; ".lepta" is added where the name has no suffix.

    Raises:
        ExportError: a folder stands at ``path``.
    """
    return _save(bundle, file_at(path, ".lepta", bundle))


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
