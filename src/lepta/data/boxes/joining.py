"""Bring boxes to the images they are of: one row an image, its boxes in a list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from lepta.core.errors import DataError, DecodeError, SchemaError, Where, suggest
from lepta.core.events import Context
from lepta.core.schema import Kind
from lepta.data.boxes import boxes_column
from lepta.data.boxes.annotations import (
    Annotations,
    Written,
    image_column,
    label_column,
    read_annotations,
    table_annotations,
)
from lepta.data.boxes.forms import Box, box, form_of
from lepta.data.files import Files
from lepta.data.issues import Issue, listed
from lepta.data.media import guess_media
from lepta.data.options import ReadOptions
from lepta.data.sources import Raw

TARGET = "boxes"
"""What the field of boxes is called where nobody named it."""


def with_boxes(raw: Raw, options: ReadOptions, context: Context | None = None) -> Raw:
    """Return what was read with its boxes: those of ``options.boxes``, or its own rows grouped.

    A table is grouped by image where it has no column of the target's name, but those of a box.

    Raises:
        SchemaError: there is no column of images, or it has the target's column already.
        DataError: no box is of one of the images, a box is not written as one, or the boxes of an
            image say different things of it, such as its split.
    """
    target = options.target or TARGET
    has_it = target in raw.table.column_names
    if options.boxes is not None:
        if has_it:
            raise SchemaError(
                f"There is a column {target!r} already.",
                where=Where(field=target),
                fix="Leave boxes= out, or give the boxes another name with target=.",
            )
        return boxed(
            raw, read_annotations(options.boxes, options.box_label, context or Context()), options
        )
    asked = options.task == "detection" or options.target == TARGET
    if has_it or not asked or form_of(raw.table.column_names) is None:
        return raw
    return _grouped(raw, options, target)


def _grouped(raw: Raw, options: ReadOptions, target: str) -> Raw:
    """Return one row an image; of other columns those that say the same of all its boxes."""
    import pyarrow as pa

    table, names = raw.table, raw.table.column_names
    form = form_of(names)
    assert form is not None  # noqa: S101 - the caller has looked
    image = image_column(table, form, None)
    label = label_column(table, form, image, options.box_label, None)
    found = table_annotations(table, options.box_label, None)
    first: dict[str, int] = {}
    images = [str(value) for value in table[image].to_pylist()]
    for row, name in enumerate(images):
        first.setdefault(name, row)
    kept = [image]
    asked = {options.group, options.split, options.weight, options.time_field, *options.roles}
    for name in names:
        if name in (*form.names, image, label):
            continue
        values = table[name].to_pylist()
        other = next((r for r, v in enumerate(values) if values[first[images[r]]] != v), None)
        if other is None:
            kept.append(name)
        elif name in asked:
            raise DataError(
                f"{name!r} is {values[other]!r} here, but {values[first[images[other]]]!r} where "
                f"the image {images[other]!r} is named first.",
                where=Where(row=other + 1, field=name),
                fix="Write the same in all rows of an image.",
            )
    rows = table.select(kept).take(pa.array(list(first.values())))
    boxes = [_placed(found.boxes[name], None) for name in first]
    return replace(
        raw,
        table=rows.append_column(target, boxes_column(boxes)),
        target=target,
        kinds={**raw.kinds, target: Kind.BOXES},
    )


def boxed(raw: Raw, found: Annotations, options: ReadOptions) -> Raw:
    """Return what was read with a column of the boxes of each image; some may have none.

    Raises:
        SchemaError: there is no column of images.
        DataError: no box is of one of the images.
    """
    target = options.target or TARGET
    column = _images(raw)
    names = [str(path) for path in raw.table[column].to_pylist()]
    matching = _Names(names)
    known: dict[str, list[Written]] = defaultdict(list)
    strange = []
    for name, written in found.boxes.items():
        meant = matching.find(name)
        if meant is None:
            strange.append(name)
        else:
            known[meant] += written
    issues = [*raw.issues, *found.issues, *_strange(strange, found, names, options.boxes)]
    boxes = [
        _placed(known.get(name, []), _Size(raw.files, name) if found.relative else None)
        for name in names
    ]
    return replace(
        raw,
        table=raw.table.append_column(target, boxes_column(boxes)),
        target=target,
        kinds={**raw.kinds, target: Kind.BOXES},
        issues=tuple(issues),
    )


def _images(raw: Raw) -> str:
    """Return the column of images.

    Raises:
        SchemaError: there is none, or there are several.
    """
    known = [name for name, kind in raw.kinds.items() if kind == Kind.IMAGE]
    if not known:
        guesses = {n: guess_media(n, raw.table[n], raw.files) for n in raw.table.column_names}
        known = [n for n, guess in guesses.items() if guess and guess.kind == Kind.IMAGE]
    if len(known) != 1:
        raise SchemaError(
            f"Boxes belong to one column of image files; there are {len(known)}"
            + (f" ({', '.join(known)})." if known else "."),
            fix="Give a folder of images, or a table with one column of image files.",
        )
    return known[0]


def _strange(
    strange: list[str], found: Annotations, names: list[str], source: str | None
) -> Iterable[Issue]:
    """Yield what is known of boxes whose images are not there.

    Raises:
        DataError: no image is there.
    """
    if not strange:
        return
    hint = suggest(strange[0], names)
    if len(strange) == len(found.boxes):
        raise DataError(
            f"None of the {len(strange)} images that have boxes is there, such as "
            f"{strange[0]!r}.{hint}",
            where=Where(file=source),
            fix=f"The images are called {listed(names[:3])}.",
        )
    lost = sum(len(found.boxes[name]) for name in strange)
    yield Issue(
        code="boxes_without_image",
        severity="warning",
        text=f"{lost} box(es) of {len(strange)} image(s) that are not there were left out: "
        f"{listed(strange)}.{hint}",
        where=TARGET,
        fix="Correct the names, or put the images there.",
    )


class _Names:
    """Finds the path of an image by itself, the end of it, or both without ending."""

    def __init__(self, names: list[str]) -> None:
        self._names = dict.fromkeys(names)
        self._tails: dict[str, list[str]] = defaultdict(list)
        for name in self._names:
            for key in {_plain(name).name, _plain(name).stem}:
                self._tails[key].append(name)

    def find(self, name: str) -> str | None:
        if name in self._names:
            return name
        wanted = _plain(name)
        near = [
            other
            for other in self._tails.get(wanted.name, [])
            if _ends_alike(wanted, _plain(other))
        ]
        return near[0] if len(near) == 1 else None


def _plain(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))


def _ends_alike(one: PurePosixPath, other: PurePosixPath) -> bool:
    """Whether the folders of one path are the last ones of the other."""
    short, long = sorted((one.parts[:-1], other.parts[:-1]), key=len)
    return not short or long[-len(short) :] == short


@dataclass(frozen=True)
class _Size:
    """The size of an image, read from its file when it is needed."""

    files: Files
    name: str

    def __call__(self) -> tuple[float, float]:
        from lepta.runtime.decoders import image_size

        try:
            width, height = image_size(self.files.read(self.name), self.name)
        except DecodeError as error:
            error.where = Where(file=self.name)
            raise
        return float(width), float(height)


def _placed(boxes: list[Written], size: _Size | None) -> list[Box]:
    width, height = size() if size is not None and boxes else (1.0, 1.0)
    lengths = (width, height, width, height)
    return [
        box([c * n for c, n in zip(each.corners, lengths, strict=True)], each.label, each.where)
        for each in boxes
    ]
