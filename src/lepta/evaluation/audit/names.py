"""What the names of files and folders tell, and whether they only store the label."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lepta.evaluation.audit.sources import Source, category, number

_DIGITS = re.compile(r"\d+")
_PURE = 0.995
_SITES = 12
_FOLDERS = 50


@dataclass(frozen=True)
class Named:
    """What the names of one column tell.

    Attributes:
        sources: what may be a shortcut or a sign of where rows come from.
        storage: sentences on names that are the label itself.
    """

    sources: tuple[Source, ...]
    storage: tuple[str, ...]


def named(
    column: str,
    paths: Sequence[str | None],
    labels: Sequence[str | None] | None,
    *,
    is_media: bool,
    grouped: bool,
) -> Named:
    """Read the names in ``column``.

    Args:
        column: name of the column.
        paths: path of each row.
        labels: class of each row, None for a target that is a number.
        is_media: whether these are the files themselves, not the names of their originals.
        grouped: whether the dataset has groups. Without, many folders are taken for the folders of
            patients, which tell their label without being a shortcut.
    """
    posix = [None if path is None else PurePosixPath(path.replace("\\", "/")) for path in paths]
    found: list[Source | None] = []
    storage = []
    for level in range(_depth(posix)):
        name, values = f"folder {level + 1} of {column!r}", _at(posix, level)
        if labels is not None and stores_label(values, labels):
            storage.append(
                f"{name[0].upper()}{name[1:]} is named by class: a way to store labels, which a "
                "model does not see."
            )
        elif len(set(values)) <= (_FOLDERS if grouped else _SITES):
            found.append(category(name, "folder", values))
    prefixes = [None if path is None else _prefix(path.stem) for path in posix]
    if labels is not None and stores_label(prefixes, labels):
        storage.append(
            f"The names in {column!r} begin with the class: a way to store labels, which a model "
            "does not see."
        )
    else:
        found += _naming(column, posix)
    suffixes = [None if path is None else path.suffix.lower() for path in posix]
    family = "format" if is_media else "original_type"
    found.append(category(f"{column}: file type", family, suffixes))
    return Named(tuple(source for source in found if source is not None), tuple(storage))


def stores_label(values: Sequence[str | None], labels: Sequence[str | None]) -> bool:
    """Whether names map one to one onto classes, or each holds the name of its own class only."""
    classes = sorted({label for label in labels if label is not None})
    pairs: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for value, label in zip(values, labels, strict=True):
        if value is not None and label is not None:
            pairs[value][label] += 1
    if len(pairs) < 2 or len(classes) < 2:
        return False
    main = {value: max(counts, key=lambda k: counts[k]) for value, counts in pairs.items()}
    total = sum(sum(counts.values()) for counts in pairs.values())
    pure = sum(counts[main[value]] for value, counts in pairs.items()) >= _PURE * total
    if not pure:
        return False
    one_to_one = len(pairs) == len(set(main.values())) == len(classes)
    return one_to_one or all(_names_only(value, label, classes) for value, label in main.items())


def _names_only(value: str, label: str, classes: Sequence[str]) -> bool:
    held = [name for name in classes if _plain(name) and _plain(name) in _plain(value)]
    longest = max(held, key=len, default="")
    return longest == label and len(_plain(label)) > 1


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def _prefix(stem: str) -> str:
    return _DIGITS.split(stem, maxsplit=1)[0].strip(" _-.").casefold()


Posix = Sequence[PurePosixPath | None]


def _depth(posix: Posix) -> int:
    return min(8, max((len(path.parts) - 1 for path in posix if path is not None), default=0))


def _at(posix: Posix, level: int) -> list[str | None]:
    return [
        path.parts[level] if path is not None and len(path.parts) > level + 1 else None
        for path in posix
    ]


def _naming(column: str, posix: Posix) -> Iterator[Source | None]:
    stems = [None if path is None else path.stem for path in posix]
    shapes = [None if stem is None else _DIGITS.sub("0", stem) for stem in stems]
    yield category(f"{column}: shape of the name", "naming", shapes)
    yield category(
        f"{column}: beginning of the name",
        "naming",
        [None if stem is None else _prefix(stem) or "(digits)" for stem in stems],
    )
    yield number(f"{column}: length of the name", "naming", _lengths(shapes))
    yield number(f"{column}: number in the name", "order", [_last_number(stem) for stem in stems])


def _lengths(shapes: Sequence[str | None]) -> NDArray[np.float64]:
    return np.array([np.nan if shape is None else len(shape) for shape in shapes], np.float64)


def _last_number(stem: str | None) -> float | None:
    digits = _DIGITS.findall(stem) if stem else []
    return float(digits[-1][-15:]) if digits else None
