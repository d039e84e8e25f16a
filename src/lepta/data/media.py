"""Media fields: which columns hold images and the like, and how their files are to be decoded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepta.core.errors import DecodeError, LeptaError
from lepta.core.schema import MEDIA, Kind
from lepta.data.files import Files
from lepta.data.names import (
    AUDIO_SUFFIXES,
    DICOM_SUFFIXES,
    IMAGE_SUFFIXES,
    MEDIA_SUFFIXES,
    VOLUME_SUFFIXES,
    words,
)

Decoder = tuple[str, dict[str, Any]]
_SAMPLE = 100
_OPENED = 24
_MASKS = {"mask", "masks", "segmentation", "seg", "annotation"}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    (b"GIF8", "image"),
    (b"BM", "image"),
    (b"NRRD", "nrrd"),
    (b"RIFF", "riff"),
    (b"fLaC", "audio"),
)


@dataclass(frozen=True)
class Guess:
    """The kind of a media column, and why."""

    kind: Kind
    reason: str


def guess_media(name: str, column: Any, files: Files) -> Guess | None:
    """Return what media a column holds, or None when it holds none."""
    import pyarrow as pa

    if isinstance(column.type, pa.FixedShapeTensorType):
        return _guess_tensor(column.type)
    if pa.types.is_large_binary(column.type):
        first = next((v for v in column.slice(0, _SAMPLE).to_pylist() if v), b"")
        kind = _kind_of_bytes(first)
        return Guess(kind, "its bytes begin as such a file does") if kind else None
    if _is_series(column):
        return Guess(Kind.SERIES, "lists of numbers")
    if not pa.types.is_large_string(column.type):
        return None
    return _guess_paths(name, sample(column, _SAMPLE), files)


def _is_series(column: Any) -> bool:
    """Whether a column holds lists of numbers, or lists of lists of them."""
    import pyarrow as pa

    kind, depth = column.type, 0
    while depth < 2 and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        kind, depth = kind.value_type, depth + 1
    return bool(depth and (pa.types.is_integer(kind) or pa.types.is_floating(kind)))


def _guess_tensor(kind: Any) -> Guess:
    shape = tuple(kind.shape)
    text = " x ".join(map(str, shape))
    if len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3, 4)):
        return Guess(Kind.IMAGE, f"arrays of {text} values")
    if len(shape) >= 3:
        return Guess(Kind.VOLUME, f"arrays of {text} values")
    return Guess(Kind.SERIES, f"arrays of {text} values")


def sample(column: Any, size: int) -> list[Any]:
    """Return up to ``size`` values that are not missing, spread over the column."""
    kept = column.drop_null()
    if not len(kept):
        return []
    picked = np.unique(np.linspace(0, len(kept) - 1, min(size, len(kept))).astype(np.int64))
    values: list[Any] = kept.take(picked).to_pylist()
    return values


def _guess_paths(name: str, values: list[str], files: Files) -> Guess | None:
    if not values:
        return None
    kinds = Counter(_kind_of_suffix(name, value) for value in values)
    kind, count = kinds.most_common(1)[0]
    found = [value for value in values[:_OPENED] if files.exists(value)]
    if kind is not None and count >= 0.9 * len(values):
        return _by_suffix(name, kind, bool(found), len(set(values)))
    if len(found) < max(1, 0.9 * len(values[:_OPENED])):
        return None
    return _by_content(found[0], files)


def _by_suffix(name: str, kind: Kind, is_there: bool, distinct: int) -> Guess | None:
    if is_there:
        return Guess(kind, "paths of files that end as such files do")
    if {"file", "path", "image", "img"} & set(words(name)) and distinct > 1:
        return Guess(kind, "paths by their ending, though no such file is found")
    return None


def _by_content(path: str, files: Files) -> Guess | None:
    if files.is_folder(path):
        return Guess(Kind.VOLUME, "paths of folders") if files.listing(path) else None
    kind = _kind_of_bytes(files.read(path))
    return Guess(kind, "paths of files that begin as such files do") if kind else None


def _kind_of_suffix(name: str, path: str) -> Kind | None:
    lowered = path.lower()
    if lowered.endswith((*IMAGE_SUFFIXES, *DICOM_SUFFIXES)):
        return Kind.MASK if _MASKS & set(words(name)) else Kind.IMAGE
    if lowered.endswith(VOLUME_SUFFIXES):
        return Kind.VOLUME
    return Kind.AUDIO if lowered.endswith(AUDIO_SUFFIXES) else None


def _format_of(data: bytes) -> str:
    if data[128:132] == b"DICM":
        return "dicom"
    return next((form for magic, form in _MAGIC if data.startswith(magic)), "")


def _kind_of_bytes(data: bytes) -> Kind | None:
    form = _format_of(data)
    if form == "riff":
        form = "audio" if data[8:12] == b"WAVE" else "image"
    kinds = {"image": Kind.IMAGE, "dicom": Kind.IMAGE, "nrrd": Kind.VOLUME, "audio": Kind.AUDIO}
    return kinds.get(form)


def has_media_suffix(path: str) -> bool:
    """Whether a path ends as a media file does."""
    return path.lower().endswith(MEDIA_SUFFIXES)


def choose_decoder(kind: Kind, column: Any, files: Files) -> Decoder | None:
    """Return the decoder of a media column and its options, by the first files.

    None for arrays, which need none, and for kinds that no decoder reads.
    """
    import pyarrow as pa

    if isinstance(column.type, pa.FixedShapeTensorType) or kind not in MEDIA:
        return None
    if kind == Kind.VOLUME:
        return ("series", {})
    if kind == Kind.AUDIO:
        return ("audio", {})
    if kind == Kind.MASK:
        return ("mask", {})
    values = sample(column, _OPENED)
    contents = [_open(value, files) for value in values]
    dicom = sum(_is_dicom(value, data) for value, data in zip(values, contents, strict=True))
    known = [data for data in contents if data]
    if dicom * 2 > len(contents):
        return ("dicom", {"channels": 3 if any(map(_is_coloured, known)) else 1})
    return ("image", _image_options(known))


def unit_of(kind: Kind, column: Any, files: Files) -> str:
    """Return "HU" for CT images, which are decoded to Hounsfield units; else an empty string."""
    from lepta.runtime.decoders import dicom_tags

    if kind not in (Kind.IMAGE, Kind.VOLUME):
        return ""
    for value in sample(column, 3):
        if isinstance(value, str) and files.is_folder(value):
            value = files.listing(value)[0]  # noqa: PLW2901
        data = _open(value, files) if isinstance(value, str | bytes) else b""
        if _format_of(data) != "dicom":
            return ""
        try:
            tags = dicom_tags(data)
        except LeptaError:
            return ""
        if tags.get("Modality") != "CT" or tags.get("RescaleType", "HU") != "HU":
            return ""
    return "HU"


def _open(value: Any, files: Files) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return files.read(value)
    except LeptaError:
        return b""


def _is_dicom(value: Any, data: bytes) -> bool:
    named = isinstance(value, str) and value.lower().endswith(DICOM_SUFFIXES)
    return _format_of(data) == "dicom" or (named and _format_of(data) == "")


def _is_coloured(data: bytes) -> bool:
    from lepta.runtime.decoders import dicom_tags

    try:
        tags = dicom_tags(data)
    except DecodeError:
        return False
    return tags.get("PhotometricInterpretation", "") not in ("MONOCHROME1", "MONOCHROME2", "")


def _image_options(contents: list[bytes]) -> dict[str, Any]:
    """Return the widest of what the sampled images have: 3 channels if any is in colour."""
    facts = [fact for fact in map(_image_facts, contents) if fact]
    channels = max((channels for channels, _ in facts), default=3)
    return {"channels": channels, "bits": max((bits for _, bits in facts), default=8)}


def _image_facts(data: bytes) -> tuple[int, int] | None:
    """Return channels (1 or 3) and bits (8, 16 or 32) of an image, None when it is unreadable."""
    from lepta.runtime.decoders import image_info

    try:
        info = image_info(data)
    except DecodeError:
        return None
    if not str(info["mode"]).startswith(("1", "L", "I", "F")):
        return (3, 8)
    return (1, next((bits for bits in (8, 16) if float(info["bit_depth"]) <= bits), 32))
