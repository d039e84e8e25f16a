"""Photographs and scans: PNG, JPEG, TIFF, BMP, WebP, GIF, PNM, JPEG 2000."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import missing_extra
from lepta.runtime.decoders.base import MAX_PIXELS, check_choice, check_size, refusal, refusing

if TYPE_CHECKING:
    from PIL.Image import Image

Array = NDArray[Any]

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "DIB", "WEBP", "GIF", "PPM", "JPEG2000")
"""Formats that are opened; Pillow's others (PostScript runs a program) are not."""
_WIDE = {"I;16", "I;16B", "I;16L", "I;16N"}
_UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@dataclass(frozen=True)
class ImageDecoder:
    """Decode an image file to (height, width, channels).

    EXIF orientation is applied, transparency is laid on white, palettes, CMYK and YCbCr become
    RGB, bi-level images 0 and 255. Colour becomes grey by ITU-R BT.601 luma. Colour of 16 bits a
    channel is read at 8 bits, since Pillow holds no more; grey keeps its 16.

    Args:
        channels: 1 (grey) or 3 (RGB).
        bits: 8 (uint8) or 16 (uint16), converted by range (8 to 16 bits times 257, 16 to 8 by
            257), or 32 (float32), the numbers as the file stores them.
        frame: the page of a multi-page file, counted from 0.
        max_pixels: larger images are refused.
    """

    channels: int = 3
    bits: int = 8
    frame: int = 0
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        check_choice("image", "channels", self.channels, (1, 3))
        check_choice("image", "bits", self.bits, (8, 16, 32))

    @property
    def dtype(self) -> str:
        """NumPy name of the type of the arrays returned."""
        return {8: "uint8", 16: "uint16", 32: "float32"}[self.bits]

    def __call__(self, data: bytes, name: str = "") -> Array:
        """Return the image in ``data``.

        Raises:
            DecodeError: not an image, damaged, too large, or without the page asked for.
        """
        image = open_image(data, name)
        check_size(image.width * image.height, self.max_pixels, name)
        with refusing(name, "The image is damaged or cut off"):
            self._seek(image, name)
            check_size(image.width * image.height, self.max_pixels, name)
            bits = stored_bits(image, data)
            turn = _orientation(image)
            image.load()
            pixels, top = _pixels(image, bits, self.channels)
        upright = _UPRIGHT.get(turn, lambda a: a)(pixels)
        return np.ascontiguousarray(self._channels(self._depth(upright, top, name)))

    def _seek(self, image: Image, name: str) -> None:
        count = getattr(image, "n_frames", 1)
        if not 0 <= self.frame < count:
            raise refusal(
                f"There is no page {self.frame}; the file has {count}, counted from 0.", name
            )
        if self.frame:
            image.seek(self.frame)

    def _depth(self, pixels: Array, top: int, name: str) -> Array:
        """Scale from 0..top to the range of ``bits``."""
        if self.bits == 32:
            return pixels.astype(np.float32)
        wanted = 2**self.bits - 1
        if top == 0:
            raise refusal(
                f"The pixels are {pixels.dtype} numbers, which have no range to scale to "
                f"{self.bits} bits.",
                name,
                "Decode with the option bits=32.",
            )
        if top == wanted:
            return pixels.astype(self.dtype, copy=False)
        scaled = pixels.astype(np.uint32) * np.uint32(wanted) + np.uint32(top // 2)
        return (scaled // np.uint32(top)).astype(self.dtype)

    def _channels(self, pixels: Array) -> Array:
        if pixels.ndim == 2:
            return np.repeat(pixels[..., None], self.channels, axis=2)
        return pixels


def open_image(data: bytes, name: str) -> Image:
    """Read the header of an image; no pixels yet.

    Raises:
        DecodeError: the bytes are none of ``FORMATS``.
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ModuleNotFoundError as error:
        raise missing_extra("pillow", "image", "Reading images") from error
    with refusing(name, "The image cannot be read"):
        try:
            return Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError as error:
            raise refusal(_unknown(data), name, _advice(data)) from error


def stored_bits(image: Image, data: bytes) -> int:
    """Return the bits per sample that the file stores, whatever Pillow makes of them."""
    if image.format == "TIFF":
        return int(max(getattr(image, "tag_v2", {}).get(258, (1,))))
    if image.format == "PNG" and len(data) > 24:
        return data[24]
    if image.mode in _WIDE or (image.format == "PPM" and image.mode == "I"):
        return 16
    return {"1": 1, "F": 32, "I": 32}.get(image.mode, 8)


def _pixels(image: Image, bits: int, channels: int) -> tuple[Array, int]:
    """Return pixels (height, width[, 3]) and the largest value they can have; 0: no range."""
    if image.mode in _WIDE:
        return _wide(image, bits)
    if image.mode in ("I", "F"):
        return np.asarray(image), 65535 if image.format == "PPM" else 0
    if image.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info:
        image = _on_white(image)
    grey = image.mode in ("1", "L")
    image = image.convert("L" if grey or channels == 1 else "RGB")
    return np.asarray(image), 255


def _wide(image: Image, bits: int) -> tuple[Array, int]:
    pixels = np.asarray(image).astype(np.uint16)
    top = 2**bits - 1 if 8 < bits <= 16 else 65535
    if getattr(image, "tag_v2", {}).get(262) == 0:  # TIFF WhiteIsZero, which Pillow leaves
        pixels = np.minimum(pixels, top)
        pixels = (top - pixels).astype(np.uint16)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        pixels = np.where(pixels == clear, np.uint16(top), pixels)
    return pixels, top


def _on_white(image: Image) -> Image:
    from PIL import Image as Pillow

    grey = image.mode in ("1", "L", "LA", "La")
    layer = image.convert("RGBA")
    white = Pillow.new("RGBA", layer.size, (255, 255, 255, 255))
    return Pillow.alpha_composite(white, layer).convert("L" if grey else "RGB")


def image_size(data: bytes, name: str = "") -> tuple[int, int]:
    """Return width and height that an image will have once decoded, from its header.

    Raises:
        DecodeError: not an image in a known format.
    """
    image = open_image(data, name)
    with refusing(name, "The header of the image cannot be read"):
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def _orientation(image: Image) -> int:
    if image.format == "TIFF":  # Pillow turns these itself while loading
        return 1
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # a damaged EXIF block does not make the pixels unreadable
        return 1


def _unknown(data: bytes) -> str:
    if not data:
        return "The file is empty."
    if data[128:132] == b"DICM":
        return "This is a DICOM file, not a plain image."
    return "This is not an image in a known format, or its beginning is damaged."


def _advice(data: bytes) -> str:
    if data[128:132] == b"DICM":
        return "Decode it with the decoder 'dicom'."
    return f"Formats read: {', '.join(FORMATS)}."
