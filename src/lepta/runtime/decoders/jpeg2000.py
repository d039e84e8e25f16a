"""A pydicom plug-in that decodes JPEG 2000 through the package pylibjpeg-openjpeg alone.

pydicom's own plug-in asks for the pylibjpeg framework besides, and its other one, Pillow, refuses
some valid code streams and colour of more than 8 bits.
"""

from __future__ import annotations

import threading
from importlib.util import find_spec
from typing import Any, cast

LABEL = "lepta-openjpeg"
DECODER_DEPENDENCIES = dict.fromkeys(
    (
        "1.2.840.10008.1.2.4.90",  # JPEG 2000, lossless
        "1.2.840.10008.1.2.4.91",  # JPEG 2000
        "1.2.840.10008.1.2.4.201",  # High-Throughput JPEG 2000, lossless
        "1.2.840.10008.1.2.4.202",  # the same, RPCL
        "1.2.840.10008.1.2.4.203",  # High-Throughput JPEG 2000
    ),
    ("pylibjpeg-openjpeg>=2.4",),
)

_lock = threading.Lock()


def register(decoder: Any) -> None:
    """Make the plug-in known to a pydicom decoder, once."""
    with _lock:
        if LABEL not in decoder.available_plugins and is_available(str(decoder.UID)):
            decoder.add_plugin(LABEL, (__name__, "decode_frame"))


def is_available(uid: str) -> bool:
    """Whether the plug-in decodes the transfer syntax ``uid`` here."""
    return uid in DECODER_DEPENDENCIES and find_spec("openjpeg") is not None


def decode_frame(src: bytes, runner: Any) -> bytearray:
    """Return the samples of a frame; called by pydicom.

    Raises:
        RuntimeError: the code stream is damaged.
    """
    from openjpeg.utils import decode_pixel_data

    frame = cast("bytearray", decode_pixel_data(src, version=2))
    if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")
    precision = int(runner.get_option("j2k_precision", runner.bits_stored))
    runner.set_option("bits_allocated", 8 if precision <= 8 else 16 if precision <= 16 else 32)
    return frame
