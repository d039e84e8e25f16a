"""NRRD volumes (teem.sourceforge.net/nrrd/format.html), one attached file."""

from __future__ import annotations

import bz2
import io
import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.runtime.decoders.base import refusal, refusing
from lepta.runtime.decoders.series import Volume

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "f4": ("float",),
    "f8": ("double",),
}


def read_nrrd(data: bytes, name: str, max_voxels: int) -> Volume:
    """Return the volume in an NRRD file of two or three axes.

    Raises:
        DecodeError: damaged, too large, of more axes, or with its data in another file.
        MissingExtraError: pynrrd is not installed.
    """
    try:
        import nrrd
    except ModuleNotFoundError as error:
        raise missing_extra("pynrrd", "medical", "Reading NRRD") from error
    with refusing(name, "The NRRD file cannot be read"):
        stream = io.BytesIO(data)
        header: dict[str, Any] = dict(nrrd.read_header(stream))
        if any(key in header for key in ("data file", "datafile")):
            raise refusal("The NRRD header names another file for its data.", name)
        sizes = [int(size) for size in header["sizes"]]
        if len(sizes) not in (2, 3) or min(sizes) < 1:
            raise refusal(f"An NRRD file of sizes {sizes} is no volume of one channel.", name)
        if math.prod(sizes) > max_voxels:
            raise refusal(
                f"The volume has {math.prod(sizes):,} voxels; limit {max_voxels:,}.", name
            )
        values = _values(header, stream.read(), sizes, name)
        return Volume(values, _spacing(header, len(sizes)))


def _values(
    header: dict[str, Any], body: bytes, sizes: list[int], name: str
) -> NDArray[np.float32]:
    kind = next((code for code, names in _TYPES.items() if header["type"] in names), None)
    if kind is None:
        raise refusal(f"NRRD values of type {header['type']!r} are not read.", name)
    dtype = np.dtype(kind).newbyteorder(">" if header.get("endian") == "big" else "<")
    wanted = math.prod(sizes) * dtype.itemsize
    if int(header.get("line skip", header.get("lineskip", 0))):
        raise refusal("NRRD files that skip lines are not read.", name)
    skip = int(header.get("byte skip", header.get("byteskip", 0)))
    encoding = str(header["encoding"]).lower()
    if skip < 0:
        if encoding != "raw":
            raise refusal("A negative byte skip goes with raw data only.", name)
        body, skip = body[-wanted:], 0
    raw = _expanded(encoding, body, skip + wanted, name)[skip:]
    if len(raw) < wanted:
        raise refusal(f"The NRRD file is cut off: {len(raw):,} of {wanted:,} bytes.", name)
    values = np.frombuffer(raw, dtype, math.prod(sizes)).reshape(sizes[::-1])
    return values.reshape((1,) * (3 - len(sizes)) + values.shape).astype(np.float32)


def _expanded(encoding: str, body: bytes, wanted: int, name: str) -> bytes:
    """Return at most ``wanted`` bytes of the body."""
    if encoding == "raw":
        return body[:wanted]
    if encoding in ("gzip", "gz"):
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(body, wanted)
    if encoding in ("bzip2", "bz2"):
        return bz2.BZ2Decompressor().decompress(body, wanted)
    raise refusal(f"The NRRD encoding {encoding!r} is not read.", name)


def _spacing(header: dict[str, Any], axes: int) -> tuple[float, float, float]:
    """Return the spacing along depth, height, width; NaN where the header does not tell."""
    steps = [math.nan] * axes
    if (directions := header.get("space directions")) is not None:
        steps = [float(np.linalg.norm(np.asarray(d, np.float64))) for d in directions]
    elif (spacings := header.get("spacings")) is not None:
        steps = [float(step) for step in spacings]
    depth, height, width = (math.nan, *steps[::-1])[-3:] if axes == 2 else steps[::-1]
    return depth, height, width
