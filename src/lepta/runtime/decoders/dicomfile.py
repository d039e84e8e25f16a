"""DICOM files as data sets: read, checked, and described when they hold no image."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from lepta.core.errors import DecodeError, missing_extra
from lepta.runtime.decoders.base import refusal, refusing

Dataset = Any
"""A pydicom data set."""

MAX_INFLATED = 2 * 1024**3
"""Most bytes that a deflated file may grow to."""

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
"""Keywords under which a data set can hold its pixels."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_SPOKEN_WITH_AN = ("a", "e", "i", "o", "rt", "mr", "x")


def read_dataset(data: bytes, name: str, *, pixels: bool = True) -> Dataset:
    """Return the data set in ``data``; a file without the 128-byte preamble is read too.

    Args:
        data: the whole file.
        name: the file's name, for messages.
        pixels: whether the pixels are wanted, or only what stands before them.

    Raises:
        DecodeError: not DICOM, or cut off before the pixels.
        MissingExtraError: pydicom is not installed.
    """
    try:
        import pydicom
    except ModuleNotFoundError as error:
        raise missing_extra("pydicom", "medical", "Reading DICOM") from error
    _check_inflated(data, name)
    with refusing(name, "This is not a readable DICOM file"):
        dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=not pixels, force=True)
        known = any(key in dataset for key in ("SOPClassUID", "Modality", "Rows"))
        if not known:
            raise _unreadable(data, dataset, name)
        _complete_meta(dataset)
    return dataset


def check_image(dataset: Dataset, name: str) -> None:
    """Refuse a data set without pixels, saying what it is instead.

    Raises:
        DecodeError: always in that case.
    """
    if any(key in dataset for key in PIXELS):
        return
    with refusing(name, "The file holds no image"):
        if is_cut(dataset):
            raise _cut_off(name)
        kind = class_name(dataset)
    if "Rows" in dataset or "Image" in kind:
        raise refusal(
            f"The file holds no pixel data, although it is {_with_article(kind)}: it was cut off, "
            "or written without.",
            name,
            "Get the complete file from its source.",
        )
    raise refusal(
        f"The file holds no image: it is {_with_article(kind)}.", name, "Leave the file out."
    )


def is_cut(dataset: Dataset) -> bool:
    """Whether the last value is shorter than its own length says."""
    tags = sorted(dataset.keys())
    last = dataset.get_item(tags[-1]) if tags else None
    value, length = getattr(last, "value", None), getattr(last, "length", 0)
    return isinstance(value, bytes) and length != 0xFFFFFFFF and len(value) < length


def class_name(dataset: Dataset) -> str:
    """Return what kind of object this is in plain words ("RT Structure Set")."""
    uid = dataset.get("SOPClassUID")
    named = str(getattr(uid, "name", "") or "")
    if named and named != str(uid):
        return named.removesuffix(" Storage")
    return f"{dataset.get('Modality') or 'unknown'} object"


def transfer_syntax(dataset: Dataset) -> str:
    """Return the transfer syntax in words ("JPEG 2000 Image Compression")."""
    uid = dataset.file_meta.get("TransferSyntaxUID", "")
    return str(getattr(uid, "name", uid))


def _unreadable(data: bytes, dataset: Dataset, name: str) -> DecodeError:
    if data[128:132] == b"DICM":
        return _cut_off(name)
    if len(dataset):
        return refusal("This is not a DICOM image: it names no kind and no size.", name)
    return refusal("The file is empty." if not data else "This is not a DICOM file.", name)


def _cut_off(name: str) -> DecodeError:
    return refusal(
        "The DICOM file is cut off: it ends before its data does.",
        name,
        "Get the complete file from its source.",
    )


def _complete_meta(dataset: Dataset) -> None:
    """Say how the pixels are encoded where the file does not (files without a header)."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if dataset.file_meta.get("TransferSyntaxUID"):
        return
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _check_inflated(data: bytes, name: str) -> None:
    """Refuse a deflated file that would grow beyond ``MAX_INFLATED``; pydicom has no limit."""
    head = data[:2048]
    if _DEFLATED not in head:
        return
    begin = 144 + (struct.unpack_from("<I", head, 140)[0] if len(head) >= 144 else 0)
    if data[128:138] != b"DICM\x02\x00\x00\x00UL" or begin > len(data):
        raise refusal("The file is deflated, and its header is damaged.", name)
    inflater, size, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, data[begin:]
    with refusing(name, "The deflated data are damaged"):
        while rest and not inflater.eof:
            size += len(inflater.decompress(rest, 1 << 24))
            rest = inflater.unconsumed_tail
            if size > MAX_INFLATED:
                raise refusal(f"The file inflates to more than {MAX_INFLATED:,} bytes.", name)


def _with_article(kind: str) -> str:
    spoken_with_an = kind.lower().startswith(_SPOKEN_WITH_AN)
    return f"{'an' if spoken_with_an else 'a'} {kind}"
