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
_WAYS: dict[str, dict[str, dict[str, Any]]] = {
    "JPEG": {"plain": {"quality": "keep"}, "optimised": {"quality": "keep", "optimize": True}},
    "PNG": {"plain": {}, "fast": {"compress_level": 1}, "stored": {"compress_level": 0}},
}
_BUDGET = 2e8
"""Pixels that are encoded anew, at most; none in a dataset with more."""


def file_sources(data: Dataset, context: Context) -> Iterator[Source | None]:
    """Yield what the files in the media inputs tell besides their content.

    The size of a compressed file tells how it was written and how busy its content is; the latter
    is no shortcut. PNG and JPEG files are therefore written anew in the usual ways: which way
    comes nearest, and by how many bytes it misses, tells of the writing alone.
    """
    for name in data.media():
        if not _has_files(data, name):
            continue
        facts = _facts_of(data, name, context)
        yield from _sources(name, facts)
        yield from _writing(name, facts)
        yield number(f"{name}: when it was written", "order", [f.get("mtime") for f in facts])


def _writing(name: str, facts: list[Facts]) -> Iterator[Source | None]:
    """Yield how files were written; nothing where most are by a writer that is not known."""
    misses = [fact.get("misses") for fact in facts]
    hits = [miss is not None and min(map(abs, miss.values())) == 0 for miss in misses]
    if sum(hits) < 0.3 * max(1, sum(miss is not None for miss in misses)):
        return
    ways = [miss and min(miss, key=lambda way: abs(miss[way])) for miss in misses]
    yield category(f"{name}: way of writing", "writing", [way or None for way in ways])
    beyond = [min(miss.values(), key=abs) if miss else None for miss in misses]
    yield number(f"{name}: size against a fresh copy", "writing", beyond)


def _misses(content: bytes) -> dict[str, float] | None:
    """Return by how many bytes the size differs from that of a copy, for the usual ways to write.

    Differences below 32 bytes or 1 % count as none.
    """
    from PIL import Image

    found = {}
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            for way, options in _WAYS[str(image.format)].items():
                stream = io.BytesIO()
                image.save(stream, image.format, **options)
                step = max(32.0, 0.01 * len(content))
                miss = len(content) - len(stream.getvalue())
                found[way] = step * float(np.trunc(miss / step))
    except Exception:  # a damaged file is the business of data.validate
        return None
    return found


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
        facts["misses"] = _misses(content)
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
        if key in ("mtime", "misses"):
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
