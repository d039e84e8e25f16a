"""From the stored values of a DICOM frame to modality units or colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.runtime.decoders import jpeg2000
from lepta.runtime.decoders.base import refusal
from lepta.runtime.decoders.dicomfile import Dataset, transfer_syntax

_PLUGINS = {
    "RLE Lossless": ("pydicom",),
    "JPEG-LS": ("pyjpegls",),
    "JPEG 2000": (jpeg2000.LABEL, "pillow"),
    "High-Throughput JPEG 2000": (jpeg2000.LABEL,),
    "JPEG Baseline": ("pillow",),
    "JPEG Extended": ("pillow",),
}
"""Which decompressors are used, best first; the first that is installed is taken."""

_MEASURED = {"CT", "PT", "RTDOSE"}
_NO_UNIT = {"", "US", "UNSPECIFIED"}


def stored_frame(dataset: Dataset, index: int, name: str) -> NDArray[Any]:
    """Return the stored values of a frame, (height, width[, 3]), YBR converted to RGB.

    Raises:
        DecodeError: nothing at hand reads the compression.
        Exception: whatever the decompressor raises for damaged data.
    """
    from pydicom.pixels.utils import pixel_array

    values = pixel_array(dataset, index=index, decoding_plugin=_plugin(dataset, name))
    return np.asarray(values)


def _plugin(dataset: Dataset, name: str) -> str:
    from pydicom.pixels.decoders.base import get_decoder

    uid = dataset.file_meta.TransferSyntaxUID
    if not uid.is_compressed or uid.is_deflated:
        return ""
    syntax = transfer_syntax(dataset)
    wanted = next((v for k, v in _PLUGINS.items() if syntax.startswith(k)), ())
    if wanted:
        decoder = get_decoder(uid)
        if jpeg2000.LABEL in wanted:
            jpeg2000.register(decoder)
        for plugin in wanted:
            if plugin in decoder.available_plugins:
                return plugin
    raise refusal(
        f"The pixels are compressed as {syntax}, which nothing installed here decodes.",
        name,
        "pip install 'lepta[medical]'"
        if wanted
        else "Convert the file to JPEG-LS, JPEG 2000 or an uncompressed transfer syntax.",
    )


def modality_values(stored: NDArray[Any], dataset: Dataset, index: int) -> NDArray[np.float32]:
    """Return (height, width) in modality units; see ``DicomDecoder``."""
    source = _transformation(dataset, index)
    if source.get("ModalityLUTSequence"):
        values, low, high = _looked_up(stored, dataset, source)
    else:
        slope, intercept = _rescale(dataset, source)
        values = stored.astype(np.float64) * slope + intercept
        low, high = (bound * slope + intercept for bound in _stored_range(stored, dataset))
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1" and not _measured(dataset, source):
        values = low + high - values
    return values.astype(np.float32)


def colours(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.float32]:
    """Return (height, width, 3) in 0..255 of an RGB or palette image."""
    from pydicom.pixels.processing import apply_color_lut

    if stored.ndim == 2:
        rgb = apply_color_lut(stored, dataset)[..., :3]
        top = float(np.iinfo(rgb.dtype).max)
    else:
        rgb, top = stored, float(2 ** int(dataset.BitsStored) - 1)
    if rgb.shape[-1] != 3:
        raise ValueError(f"{rgb.shape[-1]} samples per pixel")
    return np.asarray(np.clip(rgb * np.float32(255.0 / top), 0, 255), np.float32)


def _transformation(dataset: Dataset, index: int) -> Dataset:
    """Return the data set in which the slope and intercept of a frame stand."""
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    shared = dataset.get("SharedFunctionalGroupsSequence") or ()
    for group in (*frames[index : index + 1], *shared[:1]):
        if found := group.get("PixelValueTransformationSequence"):
            return found[0]
    return dataset


def _rescale(dataset: Dataset, source: Dataset) -> tuple[float, float]:
    if dataset.get("Modality") == "RTDOSE" and dataset.get("DoseGridScaling") is not None:
        return float(dataset.DoseGridScaling), 0.0
    if dataset.get("SegmentationType") == "FRACTIONAL":
        return 1.0 / float(dataset.get("MaximumFractionalValue") or 255), 0.0
    slope, intercept = source.get("RescaleSlope"), source.get("RescaleIntercept")
    slope, intercept = (1.0 if slope is None else float(slope)), float(intercept or 0.0)
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise ValueError(f"rescale slope {slope} and intercept {intercept}")
    return slope, intercept


def _looked_up(
    stored: NDArray[Any], dataset: Dataset, source: Dataset
) -> tuple[NDArray[np.float64], float, float]:
    from pydicom.multival import MultiValue

    table = source.ModalityLUTSequence[0]
    count, first, bits = (int(value) for value in table.LUTDescriptor)
    data = table.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        entries = np.frombuffer(data, f"{order}u{len(data) // (count or 65536) or 1}")
    else:
        entries = np.asarray(list(data) if isinstance(data, MultiValue | list) else [data])
    if first > 32767 and int(dataset.get("PixelRepresentation") or 0):
        first -= 65536
    index = np.clip(stored.astype(np.int64) - first, 0, len(entries) - 1)
    return entries.astype(np.float64)[index], 0.0, float(2**bits - 1)


def _stored_range(stored: NDArray[Any], dataset: Dataset) -> tuple[float, float]:
    if stored.dtype.kind == "f":
        return float(np.nanmin(stored)), float(np.nanmax(stored))
    bits = int(dataset.get("BitsStored") or stored.dtype.itemsize * 8)
    if int(dataset.get("PixelRepresentation") or 0):
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1


def _measured(dataset: Dataset, source: Dataset) -> bool:
    """Whether the values are a physical quantity rather than a brightness."""
    unit = str(source.get("RescaleType") or source.get("ModalityLUTType") or "").upper()
    return dataset.get("Modality") in _MEASURED or unit not in _NO_UNIT
