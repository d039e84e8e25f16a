"""Decoders: the bytes of a file to an array, the same code in training and where a bundle runs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
