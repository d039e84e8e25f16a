"""What a file says of itself besides its pixels, which are not decoded."""

from __future__ import annotations

import math
from typing import Any

from lepta.runtime.decoders.base import quiet, refusing
from lepta.runtime.decoders.dicomfile import class_name, read_dataset, transfer_syntax
from lepta.runtime.decoders.image import open_image, stored_bits

Fact = str | float

_TEXTS = (
    "Modality", "Manufacturer", "ManufacturerModelName", "InstitutionName", "StationName",
    "SoftwareVersions", "DeviceSerialNumber", "ConvolutionKernel", "PatientPosition", "PatientSex",
    "BodyPartExamined", "ProtocolName", "StudyDescription", "SeriesDescription", "ImageType",
    "PhotometricInterpretation", "FilterType", "ExposureModulationType", "ScanningSequence",
    "SequenceVariant", "ViewPosition", "Laterality", "ImageLaterality", "PresentationIntentType",
    "ConversionType", "BurnedInAnnotation", "LossyImageCompression", "SpecificCharacterSet",
    "RescaleType", "ContrastBolusAgent", "SegmentationType",
)  # fmt: skip
_NUMBERS = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "NumberOfFrames", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "SliceLocation", "KVP", "ExposureTime", "XRayTubeCurrent", "Exposure",
    "ReconstructionDiameter", "DataCollectionDiameter", "GantryDetectorTilt", "TableHeight",
    "MagneticFieldStrength", "RepetitionTime", "EchoTime", "FlipAngle", "RescaleSlope",
    "RescaleIntercept", "WindowCenter", "WindowWidth", "PixelPaddingValue", "PatientSize",
    "PatientWeight", "SeriesNumber", "AcquisitionNumber", "InstanceNumber", "StudyDate",
    "StudyTime", "AcquisitionDate", "AcquisitionTime", "ContentTime", "LossyImageCompressionRatio",
)  # fmt: skip
_AGE_UNITS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_STANDARD_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113,
    92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


def dicom_tags(data: bytes, name: str = "") -> dict[str, Fact]:
    """Return how a DICOM file was acquired and written; tags that are absent are left out.

    Of a tag with several numbers the first is given (of Pixel Spacing, that between rows). Dates
    and times are numbers that grow with time, ages are in years. ``Elements`` counts the tags.
    Names and identifiers of patients are not among them.

    Raises:
        DecodeError: not a DICOM file, or cut off before its pixels.
    """
    dataset = read_dataset(data, name, pixels=False)
    facts: dict[str, Fact] = {"Elements": float(len(dataset))}
    with refusing(name, "The tags cannot be read"):
        facts["Kind"] = class_name(dataset)
        facts["TransferSyntax"] = transfer_syntax(dataset)
        facts["TransferSyntaxUID"] = str(dataset.file_meta.TransferSyntaxUID)
        writer = dataset.file_meta.get("ImplementationVersionName")
        if writer:
            facts["ImplementationVersionName"] = str(writer)
    for key in _TEXTS:
        if text := _text(_value(dataset, key)):
            facts[key] = text
    for key in _NUMBERS:
        number = _number(_value(dataset, key))
        if number is not None:
            facts[key] = number
    years = _years(_value(dataset, "PatientAge"))
    if years is not None:
        facts["PatientAge"] = years
    return facts


def image_info(data: bytes, name: str = "") -> dict[str, Fact]:
    """Return format, size and encoding of an image file; what does not apply is left out.

    Keys: format, mode (as Pillow reads it), width, height, channels, bit_depth, frames,
    compression, dpi, has_exif, has_icc, has_alpha, camera, software; of a JPEG also quality (0 to
    100, estimated from the luminance quantisation table as libjpeg scales it), subsampling and
    progressive.

    Raises:
        DecodeError: not an image in a known format.
    """
    image = open_image(data, name)
    with refusing(name, "The header of the image cannot be read"):
        facts: dict[str, Fact] = {
            "format": str(image.format),
            "mode": image.mode,
            "width": float(image.width),
            "height": float(image.height),
            "channels": float(len(image.getbands())),
            "bit_depth": float(stored_bits(image, data)),
            "frames": float(getattr(image, "n_frames", 1)),
            "has_icc": float("icc_profile" in image.info),
            "has_alpha": float("A" in image.getbands() or "transparency" in image.info),
        }
        if "compression" in image.info:
            facts["compression"] = str(image.info["compression"])
        facts |= _resolution(image.info.get("dpi"))
        facts |= _exif(image)
        if image.format in ("JPEG", "MPO"):
            facts |= _jpeg(image)
    return facts


def _value(dataset: Any, key: str) -> Any:
    """Return a tag's value, or None where it is absent or written wrongly."""
    try:
        with quiet():
            return dataset.get(key)
    except Exception:
        return None


def _text(value: Any) -> str:
    if value is None:
        return ""
    parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return "\\".join(str(part).strip() for part in parts)[:200]


def _number(value: Any) -> float | None:
    if hasattr(value, "__iter__") and not isinstance(value, str):
        value = next(iter(value), None)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _years(value: Any) -> float | None:
    text = str(value or "").strip().upper()
    if text[-1:] not in _AGE_UNITS or not text[:-1].isdecimal():
        return None
    return int(text[:-1]) * _AGE_UNITS[text[-1]]


def _resolution(dpi: Any) -> dict[str, Fact]:
    number = _number(dpi)
    return {} if number is None else {"dpi": round(number, 2)}


def _exif(image: Any) -> dict[str, Fact]:
    try:
        exif = image.getexif()
        found = {"camera": exif.get(0x0110), "software": exif.get(0x0131)}
    except Exception:  # damaged EXIF: it is there, and says nothing
        return {"has_exif": 1.0}
    facts: dict[str, Fact] = {"has_exif": float("exif" in image.info)}
    return facts | {key: str(value).strip("\0 ") for key, value in found.items() if value}


def _jpeg(image: Any) -> dict[str, Fact]:
    from PIL import JpegImagePlugin

    facts: dict[str, Fact] = {
        "progressive": float("progressive" in image.info),
        "subsampling": float(JpegImagePlugin.get_sampling(image)),
    }
    table = (getattr(image, "quantization", None) or {}).get(0)
    if table:
        scale = 100 * sum(table) / sum(_STANDARD_LUMINANCE)
        quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
        facts["quality"] = round(min(100.0, max(1.0, quality)), 1)
        facts["quantisation"] = "-".join(str(value) for value in table[:8])
    return facts
