"""Metadata of the files themselves: size, header, acquisition tags, time of writing."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lepta.core.errors import LeptaError
from lepta.core.events import Context
from lepta.data import Dataset
from lepta.evaluation.audit.sources import Source, category, number

Facts = dict[str, Any]
_PIXELS = {"width", "height", "rows", "columns", "depth", "frames", "pages"}
_MOMENTS = ("Date", "Time", "InstanceNumber", "AcquisitionNumber", "SeriesNumber")
_LASTING = ("ExposureTime", "RepetitionTime", "EchoTime")
_LABELS = {"bytes": "size in bytes", "density": "bytes per pixel"}
_BUDGET = 2e8
"""Pixels that are encoded anew, at most; none in a dataset with more."""


def file_sources(data: Dataset, context: Context) -> Iterator[Source | None]:
    """Yield what the files in the media inputs tell besides their content.

    The size of a compressed file tells how it was written and how busy its content is; the latter
    is no shortcut. PNG and JPEG files are therefore written anew with the same settings, and what
    counts is how far their size is from what the fresh copies make one expect.
    """
    for name in data.media():
        if not _has_files(data, name):
            continue
        facts = _facts_of(data, name, context)
        yield from _sources(name, facts)
        yield _beyond_content(name, facts)
        yield number(f"{name}: when it was written", "order", [f.get("mtime") for f in facts])


def _beyond_content(name: str, facts: list[Facts]) -> Source | None:
    size = np.array([fact.get("bytes", np.nan) for fact in facts], np.float64)
    fresh = np.array([fact.get("fresh", np.nan) for fact in facts], np.float64)
    known = np.isfinite(size) & np.isfinite(fresh)
    if known.sum() < 10:
        return None
    slope, offset = np.polyfit(fresh[known], size[known], 1) if np.ptp(fresh[known]) else (1.0, 0.0)
    return number(f"{name}: size against a fresh copy", "writing", size - slope * fresh - offset)


def _fresh_size(content: bytes) -> float | None:
    """Return the size in bytes when the pixels are written anew in the same way."""
    from PIL import Image

    stream = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            options: dict[str, Any] = {"quality": "keep"} if image.format == "JPEG" else {}
            image.save(stream, image.format, **options)
    except Exception:  # a damaged file is the business of data.validate
        return None
    return float(len(stream.getvalue()))


def _has_files(data: Dataset, name: str) -> bool:
    values = data.column(name)[:1]
    return bool(values) and isinstance(values[0], str | bytes | type(None))


def _facts_of(data: Dataset, name: str, context: Context) -> list[Facts]:
    decoder = data.decoders.get(name, ("", {}))[0]
    reader = _reader(decoder)
    anew = decoder == "image" and _affordable(data, name)

    def look(row: int) -> Facts:
        try:
            return _look(data, name, row, reader, anew)
        except (LeptaError, OSError):
            return {}

    threads = context.threads or min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(look, range(len(data)))
        return list(context.track(found, f"Reading headers of {name}", len(data)))


def _affordable(data: Dataset, name: str) -> bool:
    from lepta.runtime.decoders import image_info

    try:
        info = image_info(data.read_bytes(name, 0))
    except (LeptaError, IndexError):
        return False
    return float(info["width"]) * float(info["height"]) * len(data) <= _BUDGET


def _reader(decoder: str) -> Callable[[bytes], Mapping[str, Any]] | None:
    from lepta.runtime.decoders import dicom_tags, image_info

    return {"image": image_info, "dicom": dicom_tags}.get(decoder)


def _look(
    data: Dataset,
    name: str,
    row: int,
    reader: Callable[[bytes], Mapping[str, Any]] | None,
    anew: bool,
) -> Facts:
    path = data.location(name, row)
    facts: Facts = {}
    if path is not None:
        place = data.files.locate(path)
        if isinstance(place, Path):
            facts["mtime"] = place.stat().st_mtime
        facts["bytes"] = float(data.files.size(path))
        if data.files.is_folder(path):
            return facts
    content = data.read_bytes(name, row)
    facts["bytes"] = float(len(content))
    if anew:
        facts["fresh"] = _fresh_size(content)
    if reader is None:
        return facts
    header = dict(reader(content))
    tagged = reader.__name__ == "dicom_tags"
    for key, fact in header.items():
        facts[f"{'tag' if tagged else 'header'}:{key}"] = fact
    return facts | _shape(header, len(content))


def _shape(header: Mapping[str, Any], size: int) -> Facts:
    lowered = {key.lower(): value for key, value in header.items()}
    width = lowered.get("width", lowered.get("columns"))
    height = lowered.get("height", lowered.get("rows"))
    if not isinstance(width, int | float) or not isinstance(height, int | float):
        return {}
    if not width or not height:
        return {}
    area = float(width) * float(height)
    return {"aspect": float(width) / float(height), "area": area, "density": size / area}


def _sources(name: str, facts: list[Facts]) -> Iterator[Source | None]:
    for key in dict.fromkeys(key for fact in facts for key in fact):
        if key in ("mtime", "fresh"):
            continue
        values = [fact.get(key) for fact in facts]
        short = key.split(":", 1)[-1]
        label = f"{name}: {_LABELS.get(short, short)}"
        yield _source(label, _family(key, short), values)


def _family(key: str, short: str) -> str:
    if key in ("bytes", "density"):
        return "busyness"
    if key in ("aspect", "area") or short.lower() in _PIXELS:
        return "pixels"
    if not key.startswith("tag:"):
        return "format"
    return "order" if short.endswith(_MOMENTS) and short not in _LASTING else "acquisition"


def _source(name: str, family: str, values: list[Any]) -> Source | None:
    present = [value for value in values if value is not None]
    if present and all(_is_number(value) for value in present):
        return number(name, family, np.array([np.nan if v is None else float(v) for v in values]))
    return category(name, family, [None if value is None else _text(value) for value in values])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value))
    return str(value)
