"""What can be known of a row without looking at its content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepta.core.values import label_of

Floats = NDArray[np.float64]
_CATEGORIES = 50
_RARE = 3


@dataclass(frozen=True)
class Family:
    """A kind of metadata.

    Attributes:
        label: what people read.
        visible: whether the content shows it, or goes with it, so that a model can learn it. What
            is not visible (names of files, order) is a sign of where rows come from, no more.
        part: families of one part are also judged together.
    """

    label: str
    visible: bool
    part: str = ""


ORIGINALS = "size and file type of the originals"
FILES = "the files as they are"
FAMILIES = {
    "original_size": Family("size of the originals", True, ORIGINALS),
    "original_type": Family("file type of the originals", True, ORIGINALS),
    "described": Family("other columns that describe the file", True),
    "writing": Family("how the files were compressed and written", True, FILES),
    "pixels": Family("width and height of the images", True, FILES),
    "format": Family("file type and pixel format", True, FILES),
    "acquisition": Family("acquisition tags", True),
    "folder": Family("folder names", True),
    "gaps": Family("which inputs are missing", True),
    "busyness": Family("compressed size, which also tells how busy the content is", False),
    "naming": Family("naming pattern of the files", False),
    "order": Family("order of rows, files and numbers", False),
    "absence": Family("which other columns are empty", False),
}


@dataclass(frozen=True, eq=False)
class Source:
    """One thing known of every row.

    Attributes:
        name: what it is, for people ("orig_width", "image: bytes").
        family: key of :data:`FAMILIES`.
        values: numbers, or codes of a category, (rows,); NaN where not known.
        is_category: whether the numbers are codes without an order.
    """

    name: str
    family: str
    values: Floats
    is_category: bool = False


def number(name: str, family: str, values: Sequence[Any] | Floats) -> Source | None:
    """Return a source of numbers, None where there is nothing to tell rows apart by."""
    array = np.array([np.nan if v is None else v for v in values], np.float64)
    array[~np.isfinite(array)] = np.nan
    present = array[~np.isnan(array)]
    if not present.size or (present == present[0]).all():
        return None
    return Source(name, family, array)


def category(name: str, family: str, values: Sequence[Any]) -> Source | None:
    """Return a source of categories, None where they tell nothing or name rows.

    Labels of fewer than three rows are one category; a column most of whose rows have such labels
    names rows rather than describes them.
    """
    labels = [label_of(value) for value in values]
    counts = Counter(label for label in labels if label is not None)
    common = [label for label, count in counts.most_common(_CATEGORIES) if count >= _RARE]
    codes = {label: float(code) for code, label in enumerate(common)}
    if len(counts) < 2 or sum(counts[label] for label in common) < 0.5 * sum(counts.values()):
        return None
    other = float(len(common))
    array = [np.nan if label is None else codes.get(label, other) for label in labels]
    return Source(name, family, np.array(array), is_category=True)


def absence(name: str, family: str, missing: NDArray[np.bool_]) -> Source | None:
    """Return whether values are missing as a source, None where (nearly) all or none are."""
    count = int(missing.sum())
    if min(count, len(missing) - count) < max(_RARE, 0.005 * len(missing)):
        return None
    return Source(f"{name}: missing or not", family, missing.astype(np.float64))
