"""Decoders: the bytes of a file to an array, the same code in training and where a bundle runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names
from lepta.core.registry import Registry

if TYPE_CHECKING:
    from lepta.runtime.decoders.audio import AudioDecoder
    from lepta.runtime.decoders.base import Decoder
    from lepta.runtime.decoders.dicom import DicomDecoder
    from lepta.runtime.decoders.image import ImageDecoder
    from lepta.runtime.decoders.mask import MaskDecoder
    from lepta.runtime.decoders.metadata import dicom_tags, image_info
    from lepta.runtime.decoders.series import SeriesDecoder, Volume
    from lepta.runtime.decoders.tokens import TokensDecoder

_HOMES = {
    "AudioDecoder": "lepta.runtime.decoders.audio",
    "Decoder": "lepta.runtime.decoders.base",
    "DicomDecoder": "lepta.runtime.decoders.dicom",
    "ImageDecoder": "lepta.runtime.decoders.image",
    "MaskDecoder": "lepta.runtime.decoders.mask",
    "SeriesDecoder": "lepta.runtime.decoders.series",
    "TokensDecoder": "lepta.runtime.decoders.tokens",
    "Volume": "lepta.runtime.decoders.series",
    "dicom_tags": "lepta.runtime.decoders.metadata",
    "image_info": "lepta.runtime.decoders.metadata",
    "image_size": "lepta.runtime.decoders.image",
}

DECODERS = Registry(
    "lepta.decoders",
    "decoder",
    {
        "audio": "lepta.runtime.decoders.audio:AudioDecoder",
        "dicom": "lepta.runtime.decoders.dicom:DicomDecoder",
        "image": "lepta.runtime.decoders.image:ImageDecoder",
        "mask": "lepta.runtime.decoders.mask:MaskDecoder",
        "series": "lepta.runtime.decoders.series:SeriesDecoder",
        "tokens": "lepta.runtime.decoders.tokens:TokensDecoder",
    },
)
"""Decoder classes by name; ``DECODERS.get(name)(**options)`` makes one."""

__all__ = [
    "DECODERS",
    "AudioDecoder",
    "Decoder",
    "DicomDecoder",
    "ImageDecoder",
    "MaskDecoder",
    "SeriesDecoder",
    "TokensDecoder",
    "Volume",
    "dicom_tags",
    "image_info",
    "image_size",
]


__getattr__ = lazy_names(__name__, _HOMES)
