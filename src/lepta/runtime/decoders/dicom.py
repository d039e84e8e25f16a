"""DICOM images: one frame in modality units (Hounsfield units for CT), or in colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import ConfigError
from lepta.runtime.decoders.base import MAX_PIXELS, check_choice, check_size, refusal, refusing
from lepta.runtime.decoders.dicomfile import Dataset, check_image, read_dataset, transfer_syntax
from lepta.runtime.decoders.pixels import colours, modality_values, stored_frame

Array = NDArray[np.float32]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601 weights of red, green and blue."""


@dataclass(frozen=True)
class DicomDecoder:
    """Decode a DICOM file to (height, width, channels) float32.

    Grey images come in modality units: stored values through the Modality LUT or rescale slope
    and intercept (PS3.3 C.11.1), of the very frame in enhanced multi-frame files; a dose through
    its grid scaling. No window is applied. Colour images (RGB, YBR, palette) come as 0..255.

    MONOCHROME1 is mirrored within the range that the values can have, so that higher is brighter
    in every file; except where values are a measured quantity (CT, PET, RT dose, or a Rescale Type
    that names a unit), whose numbers would lose their meaning.

    Uncompressed, deflated, RLE, JPEG (8 bits), JPEG-LS and JPEG 2000 files are read. The frames of
    a segmentation are read as images of 0 and 1.

    Args:
        frame: which frame of several: "middle", or its number counted from 0.
        channels: 1 (grey, colour by its luma), 3 (grey three times over), or None (as in the file).
        max_pixels: larger frames are refused.
    """

    frame: int | Literal["middle"] = "middle"
    channels: int | None = None
    max_pixels: int = MAX_PIXELS

    dtype = "float32"

    def __post_init__(self) -> None:
        check_choice("dicom", "channels", self.channels, (None, 1, 3))
        number = isinstance(self.frame, int) and not isinstance(self.frame, bool)
        if self.frame != "middle" and not (number and int(self.frame) >= 0):
            raise ConfigError(
                f"The decoder 'dicom' has no frame={self.frame!r}.",
                fix="Give 'middle' or a number counted from 0.",
            )

    def __call__(self, data: bytes, name: str = "") -> Array:
        """Return the frame asked for.

        Raises:
            DecodeError: not DICOM, cut off, without an image, too large, compressed in a way that
                cannot be read, or without the frame asked for.
        """
        with refusing(name, "The file cannot be decoded"):
            dataset = read_dataset(data, name)
            count = frame_count(dataset, name)
            index = count // 2 if self.frame == "middle" else self.frame
            if index >= count:
                what = f"There is no frame {index}; the file has {count}, counted from 0."
                raise refusal(what, name)
            return self._channels(decode_frame(dataset, index, name, self.max_pixels))

    def _channels(self, pixels: Array) -> Array:
        if self.channels == 1 and pixels.shape[2] == 3:
            return (pixels @ LUMA)[..., None]
        if self.channels == 3 and pixels.shape[2] == 1:
            return np.repeat(pixels, 3, axis=2)
        return pixels


def frame_count(dataset: Dataset, name: str) -> int:
    """Return the number of frames of an image.

    Raises:
        DecodeError: the data set holds no image, or says nonsense about its frames.
    """
    check_image(dataset, name)
    with refusing(name, "The number of frames cannot be read"):
        return max(1, int(dataset.get("NumberOfFrames") or 1))


def decode_frame(dataset: Dataset, index: int, name: str, max_pixels: int) -> Array:
    """Return one frame, (height, width, 1 or 3).

    Raises:
        DecodeError: the frame is too large, damaged, or compressed in a way that is not read.
    """
    with refusing(name, "The size of the image cannot be read"):
        check_size(int(dataset.Rows) * int(dataset.Columns), max_pixels, name)
    with refusing(name, f"The pixels ({transfer_syntax(dataset)}) cannot be decoded"):
        stored = stored_frame(dataset, index, name)
        photometric = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2")
        if stored.ndim == 3 or photometric == "PALETTE COLOR":
            return colours(stored, dataset)
        return modality_values(stored, dataset, index)[..., None]
