"""The profile of a dataset: what each field looks like, as plain JSON."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.errors import LeptaError
from lepta.core.events import Context
from lepta.core.schema import MEDIA, Field, Kind
from lepta.data.labels import labels_in

if TYPE_CHECKING:
    from lepta.data.dataset import Dataset

QUANTILES = tuple(round(step * 0.05, 2) for step in range(21))
TOP = 100
_BINS = 30
_IMAGES = 64


def profile(data: Dataset, context: Context | None = None) -> dict[str, Any]:
    """Return ``{"rows": n, "fields": {name: {...}}}``.

    Every field has kind, role, count and missing; numbers also min, max, mean, std, quantiles (21
    of them, from 0 to 1) and a histogram; categories their counts (the 100 commonest); text the
    lengths; date-times the first and last; images sizes, types, mean and std of a sample.
    """
    context = context or Context()
    fields = {}
    for field in context.track(list(data.schema), "Profiling", len(data.schema)):
        column = data.table[field.name]
        fields[field.name] = {
            "kind": field.kind.value,
            "role": field.role.value,
            "unit": field.unit,
            "count": len(column) - column.null_count,
            "missing": column.null_count,
            **_describe(data, field),
        }
    return {"rows": len(data), "fields": fields}


def _describe(data: Dataset, field: Field) -> dict[str, Any]:
    if field.kind in MEDIA:
        return _media(data, field)
    if field.kind == Kind.NUMBER:
        return _numbers(np.asarray(data.numpy(field.name), np.float64))
    if field.kind == Kind.DATETIME:
        return _times(data, field)
    if field.kind == Kind.SERIES:
        return {}
    return _labels(data, field)


def _numbers(values: NDArray[np.float64]) -> dict[str, Any]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {}
    counts, edges = _histogram(finite)
    return {
        "infinite": int(np.isinf(values).sum()),
        "distinct": len(np.unique(finite)),
        "min": float(finite.min()),
        "max": float(finite.max()),
        "mean": float(finite.mean()),
        "std": float(finite.std()),
        "quantiles": [float(value) for value in np.quantile(finite, QUANTILES)],
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


def _histogram(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    try:
        return np.histogram(values, bins=_BINS)
    except ValueError:  # so close together that no float lies between the edges
        return np.array([len(values)]), np.array([values.min(), values.max()])


def _times(data: Dataset, field: Field) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = data.table[field.name]
    if not pa.types.is_timestamp(column.type) or column.null_count == len(column):
        return {}
    ends = pc.min_max(column).as_py()
    return {"first": ends["min"].isoformat(), "last": ends["max"].isoformat()}


def _labels(data: Dataset, field: Field) -> dict[str, Any]:
    labels = [label for value in data.column(field.name) for label in labels_in(value)]
    counts = Counter(labels)
    if field.kind in (Kind.TEXT, Kind.ID):
        found: dict[str, Any] = {"distinct": len(counts)}
        if field.kind == Kind.TEXT:
            lengths = np.array([len(label.split()) for label in labels] or [0])
            found["words"] = [float(v) for v in np.quantile(lengths, QUANTILES)]
        return found
    top = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP])
    return {
        "distinct": len(counts),
        "counts": top,
        "others": len(labels) - sum(top.values()),
    }


def _media(data: Dataset, field: Field) -> dict[str, Any]:
    import pyarrow as pa

    found: dict[str, Any] = {}
    if pa.types.is_large_string(data.table[field.name].type):
        paths = [path for path in data.column(field.name) if path]
        found["formats"] = dict(Counter(PurePosixPath(p).suffix.lower() for p in paths))
    if field.kind not in (Kind.IMAGE, Kind.MASK, Kind.VOLUME) or not len(data):
        return found
    rows = np.unique(np.linspace(0, len(data) - 1, min(_IMAGES, len(data))).astype(int))
    arrays = [array for row in rows if (array := _decoded(data, field.name, int(row))) is not None]
    return {**found, "sampled": len(rows), **_arrays(arrays)}


def _decoded(data: Dataset, name: str, row: int) -> NDArray[Any] | None:
    try:
        return np.asarray(data.decode(name, row))
    except LeptaError:
        return None


def _arrays(arrays: list[NDArray[Any]]) -> dict[str, Any]:
    if not arrays:
        return {"decoded": 0}
    shapes = np.array([array.shape[:2] for array in arrays])
    means = np.array([array.mean(dtype=np.float64) for array in arrays])
    return {
        "decoded": len(arrays),
        "types": dict(Counter(str(array.dtype) for array in arrays)),
        "channels": dict(Counter(str(array.shape[-1]) for array in arrays)),
        "height": _spread(shapes[:, 0]),
        "width": _spread(shapes[:, 1]),
        "mean": float(means.mean()),
        "mean_between": float(means.std()),
        "std": float(np.mean([array.std(dtype=np.float64) for array in arrays])),
    }


def _spread(values: NDArray[Any]) -> list[float]:
    return [float(values.min()), float(np.median(values)), float(values.max())]
