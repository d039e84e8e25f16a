"""What to export for which device, and why."""

from __future__ import annotations

from dataclasses import dataclass

from lepta.core.errors import ConfigError, suggest


@dataclass(frozen=True)
class Device:
    """A choice of form.

    Attributes:
        to: name of the export target.
        strip: whether what only training needs is left out.
        why: the reason, for people.
    """

    to: str
    strip: bool
    why: str


DEVICES = {
    "raspberry-pi": Device(
        "bundle",
        True,
        "a whole bundle, for `pip install lepta` runs it on Arm with the same decoders and "
        "answers; what only training needs is left out",
    ),
    "jetson": Device(
        "onnx",
        False,
        "the graph alone, for TensorRT and ONNX Runtime's CUDA and TensorRT providers read ONNX",
    ),
    "phone": Device(
        "ort",
        False,
        "ONNX Runtime's own format, for its mobile builds read it without protobuf, and compute "
        "trees, texts and networks alike",
    ),
    "browser": Device(
        "browser",
        True,
        "a folder with a page, the graph and ONNX Runtime Web, for any web server of files",
    ),
    "cortex-m": Device(
        "c",
        False,
        "C99 without any library, for there is no operating system; its header says how much flash "
        "and RAM it takes",
    ),
}


def device(name: str) -> Device:
    """Return what suits a device.

    Raises:
        ConfigError: there is no such device.
    """
    if name not in DEVICES:
        raise ConfigError(
            f"There is no device called {name!r}.{suggest(name, DEVICES)}",
            fix=f"Known: {', '.join(DEVICES)}. Or name a form with --to.",
        )
    return DEVICES[name]
