"""Decoders: the bytes of a file to an array, the same code in training and where a bundle runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lepta.core.lazy import lazy_names
from lepta.core.registry import Registry

if TYPE_CHECKING:
    from lepta.runtime.decoders.base import Decoder
    from lepta.runtime.decoders.dicom import DicomDecoder
    from lepta.runtime.decoders.image import ImageDecoder
    from lepta.runtime.decoders.metadata import dicom_tags, image_info
    from lepta.runtime.decoders.series import SeriesDecoder, Volume

_HOMES = {
    "Decoder": "lepta.runtime.decoders.base",
    "DicomDecoder": "lepta.runtime.decoders.dicom",
    "ImageDecoder": "lepta.runtime.decoders.image",
    "SeriesDecoder": "lepta.runtime.decoders.series",
    "Volume": "lepta.runtime.decoders.series",
    "dicom_tags": "lepta.runtime.decoders.metadata",
    "image_info": "lepta.runtime.decoders.metadata",
}

DECODERS = Registry(
    "lepta.decoders",
    "decoder",
    {
        "dicom": "lepta.runtime.decoders.dicom:DicomDecoder",
        "image": "lepta.runtime.decoders.image:ImageDecoder",
        "series": "lepta.runtime.decoders.series:SeriesDecoder",
    },
)
"""Decoder classes by name; ``DECODERS.get(name)(**options)`` makes one."""

__all__ = [
    "DECODERS",
    "Decoder",
    "DicomDecoder",
    "ImageDecoder",
    "SeriesDecoder",
    "Volume",
    "dicom_tags",
    "image_info",
]


__getattr__ = lazy_names(__name__, _HOMES)
