"""Small image files of every kind that PNG knows, some of which Pillow reads but cannot write."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)]
DEPTHS += [(4, 8), (4, 16), (6, 8), (6, 16)]
_PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
_PASSES += [(0, 1, 1, 2)]


def png(
    samples: NDArray[Any],
    colour: int,
    depth: int,
    *,
    interlaced: bool = False,
    palette: bytes = b"",
    clear: bytes = b"",
) -> bytes:
    """Return a PNG file of ``samples`` (height, width, samples), its lines filtered in turn."""
    height, width, _ = samples.shape
    passes = _PASSES if interlaced else [(0, 0, 1, 1)]
    data = b"".join(_lines(samples[y::dy, x::dx], depth) for x, y, dx, dy in passes)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    packed = zlib.compress(data)
    half = len(packed) // 2
    parts = [_chunk(b"IHDR", head)]
    parts += [_chunk(b"PLTE", palette)] if palette else []
    parts += [_chunk(b"tRNS", clear)] if clear else []
    parts += [_chunk(b"IDAT", packed[:half]), _chunk(b"IDAT", packed[half:]), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _lines(samples: NDArray[Any], depth: int) -> bytes:
    if 0 in samples.shape:
        return b""
    back = max(1, depth * samples.shape[2] // 8)
    above, out = None, b""
    for row, line in enumerate(samples):
        raw = _packed(line.reshape(-1), depth)
        above = np.zeros_like(raw) if above is None else above
        out += bytes([row % 5]) + _filtered(raw, above, row % 5, back).tobytes()
        above = raw
    return out


def _packed(values: NDArray[Any], depth: int) -> NDArray[np.uint8]:
    if depth == 16:
        return np.frombuffer(values.astype(">u2").tobytes(), np.uint8)
    bits = np.unpackbits(values.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
    return np.packbits(bits.reshape(-1))


def _filtered(
    raw: NDArray[np.uint8], above: NDArray[np.uint8], kind: int, back: int
) -> NDArray[np.uint8]:
    def shifted(line: NDArray[np.uint8]) -> NDArray[np.int64]:
        return np.concatenate([np.zeros(back, np.int64), line.astype(np.int64)])[: len(line)]

    left, up, corner = shifted(raw), above.astype(np.int64), shifted(above)
    guess = left + up - corner
    a, b, c = abs(guess - left), abs(guess - up), abs(guess - corner)
    paeth = np.where((a <= b) & (a <= c), left, np.where(b <= c, up, corner))
    predicted = [np.zeros_like(up), left, up, (left + up) // 2, paeth][kind]
    return ((raw.astype(np.int64) - predicted) % 256).astype(np.uint8)
