"""Masks: images whose pixels are numbers that stand for classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.runtime.decoders.base import MAX_PIXELS, check_size, refusal, refusing
from lepta.runtime.decoders.image import open_image

_AS_STORED = {"1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"}


@dataclass(frozen=True)
class MaskDecoder:
    """Decode a mask to (height, width, 1), uint8 or uint16: the numbers as the file stores them.

    PNG and other grey images, palette images (the index, not the colour), images in colour whose
    channels are equal, NRRD of one slice, and DICOM images of one frame.

    Args:
        max_pixels: larger masks are refused.
    """

    max_pixels: int = MAX_PIXELS

    def __call__(self, data: bytes, name: str = "") -> NDArray[Any]:
        """Return the mask in ``data``.

        Raises:
            DecodeError: no mask, damaged, too large, or in colour.
        """
        if data[128:132] == b"DICM":
            from lepta.runtime.decoders.dicom import DicomDecoder

            return _whole(DicomDecoder()(data, name), name)
        if data.startswith(b"NRRD"):
            from lepta.runtime.decoders.nrrd import read_nrrd

            return _whole(np.moveaxis(read_nrrd(data, name, self.max_pixels).values, 0, -1), name)
        image = open_image(data, name)
        check_size(image.width * image.height, self.max_pixels, name)
        with refusing(name, "The mask is damaged or cut off"):
            image.load()
            pixels = np.asarray(image if image.mode in _AS_STORED else image.convert("RGB"))
        if pixels.ndim == 2:
            return _whole(pixels[..., None], name)
        if (pixels != pixels[..., :1]).any():
            raise refusal(
                "The mask is in colour; a class is one number.",
                name,
                "Save it as a grey or palette PNG, one value a class.",
            )
        return np.ascontiguousarray(pixels[..., :1])


def _whole(values: NDArray[Any], name: str) -> NDArray[Any]:
    if values.ndim != 3 or values.shape[2] != 1:
        raise refusal(f"A mask is one map; this has the shape {values.shape}.", name)
    if values.dtype == bool:
        return values.astype(np.uint8)
    whole = values.astype(np.uint16)
    if (whole != values).any():
        raise refusal("The values of a mask are whole numbers from 0 to 65535.", name)
    return whole.astype(np.uint8) if whole.max(initial=0) < 256 else whole
