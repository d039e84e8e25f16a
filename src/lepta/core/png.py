"""Grey images as PNG files, with the standard library alone."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def grey_png(pixels: NDArray[Any]) -> bytes:
    """Return an image (height, width), uint8 or uint16, as a PNG: the same bytes for the same one.

    Raises:
        ValueError: another shape or type.
    """
    if pixels.ndim != 2 or str(pixels.dtype) not in ("uint8", "uint16") or 0 in pixels.shape:
        raise ValueError(f"no grey image: {pixels.dtype} of shape {pixels.shape}")
    height, width = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
