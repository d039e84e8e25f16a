"""Boxes as they are annotated apart from a dataset: in a table, in COCO JSON, in YOLO or VOC files.

Each reader gives :class:`Annotations`: of every image that it names the boxes, and where each was
written, so that a fault found later can be named.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lepta.core.errors import DataError, SchemaError, Where, suggest
from lepta.core.events import Context
from lepta.data.boxes.forms import LABELS, Form, all_forms, corners_of, form_of
from lepta.data.issues import Issue
from lepta.data.names import IMAGE_SUFFIXES

IMAGES = ("file", "image", "filename", "file_name", "path", "image_path", "image_name", "img")
"""Names under which a table names the image of a box, in this order."""
_MORE_LABELS = ("defect", "object", "species", "finding", "lesion", "class_id", "category_id")


@dataclass(frozen=True)
class Written:
    """A box as it was written: corners, its class, and where."""

    corners: tuple[float, ...]
    label: Any
    where: Where


@dataclass
class Annotations:
    """Boxes by the name of their image, without those of images that have none.

    Attributes:
        boxes: by the name of the image; an empty list where it was looked at and has none.
        relative: whether corners are shares of width and height.
        issues: what was noticed on the way.
    """

    boxes: dict[str, list[Written]] = field(default_factory=lambda: defaultdict(list))
    relative: bool = False
    issues: list[Issue] = field(default_factory=list)


def read_annotations(path: Path | str, label: str | None, context: Context) -> Annotations:
    """Read boxes from a table with one a row, COCO JSON, or a folder of YOLO or VOC files.

    Args:
        path: file or folder.
        label: column of a table that holds the classes, where its name does not say so.
        context: progress.

    Raises:
        DataError: there is no such file, or a box is not written as one; file and row are named.
        SchemaError: a table lacks places, classes or images.
    """
    from lepta.data.boxes import folders
    from lepta.data.options import ReadOptions
    from lepta.data.sources import existing, read_source

    place = existing(path)
    if isinstance(place, Path) and place.is_dir():
        return folders.read_folder(place, context)
    document = coco_document(place) if isinstance(place, Path) else None
    if document is not None:
        return coco_annotations(document, str(place))
    raw = read_source(place, ReadOptions(), context)
    return table_annotations(raw.table, label, str(place))


def table_annotations(table: Any, label: str | None, file: str | None) -> Annotations:
    """Read boxes from a table with one a row; a row with no places is an image without a box."""
    names = list(table.column_names)
    form = require_form(names, file)
    image = image_column(table, form, file)
    chosen = label_column(table, form, image, label, file)
    found = Annotations()
    for number, record in enumerate(table.to_pylist(), 1):
        where = Where(file=file, row=number)
        if record[image] in (None, ""):
            raise DataError(
                "A box names no image.",
                where=Where(file=file, row=number, field=image),
                fix="Fill in the image, or drop the row.",
            )
        mine = found.boxes[str(record[image])]
        corners = form.corners(record, where)
        if corners is not None:
            place = Where(file=file, row=number, field=chosen)
            mine.append(Written(corners, record[chosen], place))
    return found


def require_form(names: list[str], file: str | None) -> Form:
    """Return how the boxes of a table are written.

    Raises:
        SchemaError: it has no four columns of places.
    """
    form = form_of(names)
    if form is None:
        near = next((hint for n in ("xmin", "ymin", "xmax", "ymax", "width", "height")
                     if n not in names and (hint := suggest(n, names))), "")  # fmt: skip
        raise SchemaError(
            f"The columns {', '.join(names[:20])} name no boxes.{near}",
            where=Where(file=file),
            fix=f"Name the four places in one of these ways: {all_forms()}.",
        )
    return form


def image_column(table: Any, form: Form, file: str | None) -> str:
    """Return the column that names images: by its name, else by what its values end in.

    Raises:
        SchemaError: there is none.
    """
    rest: list[str] = [name for name in table.column_names if name not in form.names]
    known = {name.casefold(): name for name in rest}
    for name in IMAGES:
        if name in known:
            return known[name]
    for name in rest:
        values = [str(value) for value in table[name].slice(0, 50).to_pylist()]
        if values and all(value.lower().endswith(IMAGE_SUFFIXES) for value in values):
            return name
    raise SchemaError(
        f"No column of {', '.join(table.column_names[:20])} names the image of a box.",
        where=Where(file=file),
        fix="Call the column of image files 'file'.",
    )


def label_column(table: Any, form: Form, image: str, asked: str | None, file: str | None) -> str:
    """Return the column of classes: the one asked for, one of a known name, or the only other.

    Raises:
        SchemaError: there is none, or there are several.
    """
    others = (*form.names, image)
    rest: list[str] = [name for name in table.column_names if name not in others]
    if asked is not None:
        if asked not in rest:
            raise SchemaError(
                f"There is no column {asked!r} of classes.{suggest(asked, rest)}",
                where=Where(file=file, field=asked),
                fix=f"The columns are: {', '.join(rest)}.",
            )
        return asked
    known = {name.casefold(): name for name in rest}
    for name in (*LABELS, *_MORE_LABELS):
        if name in known:
            return known[name]
    if len(rest) == 1:
        return rest[0]
    raise SchemaError(
        "No column tells the class of a box"
        + (f": it may be {', '.join(rest[:8])}." if rest else "."),
        where=Where(file=file),
        fix="Name it with box_label=." if rest else "Add a column 'class'.",
    )


def coco_document(path: Path) -> dict[str, Any] | None:
    """Return the content of a COCO JSON file; None where it is something else."""
    if path.suffix.lower() != ".json":
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
    is_coco = isinstance(document, dict) and {"images", "annotations"} <= document.keys()
    return document if is_coco else None


def coco_annotations(document: Mapping[str, Any], file: str) -> Annotations:
    """Read boxes from a COCO document; what stands for a crowd is left out.

    Raises:
        DataError: an image or a category is not listed, or a box is not written as one.
    """
    names = {each["id"]: str(each["file_name"]) for each in _listed(document, "images", file)}
    labels = {each["id"]: each["name"] for each in _listed(document, "categories", file)}
    found, crowds = Annotations(), 0
    for name in names.values():
        found.boxes[name] = []
    for number, each in enumerate(_listed(document, "annotations", file), 1):
        where = Where(file=file, row=number, field="annotations")
        if each.get("iscrowd"):
            crowds += 1
            continue
        for key, known in (("image_id", names), ("category_id", labels)):
            if each.get(key) not in known:
                raise DataError(
                    f"{key} is {each.get(key)!r}, which is not listed.",
                    where=where,
                    fix="Check that the file was written whole.",
                )
        values = each.get("bbox")
        if not isinstance(values, list) or len(values) != 4:
            raise DataError(f"bbox is {values!r}, not [x, y, width, height].", where=where)
        corners = corners_of(values, True, where, ("x", "y", "width", "height"))
        found.boxes[names[each["image_id"]]].append(
            Written(corners, labels[each["category_id"]], where)
        )
    if crowds:
        found.issues.append(
            Issue(
                code="crowds",
                severity="info",
                text=f"{crowds} annotation(s) of crowds (iscrowd) were left out.",
            )
        )
    return found


def _listed(document: Mapping[str, Any], key: str, file: str) -> Iterable[dict[str, Any]]:
    wanted = {"images": ("id", "file_name"), "categories": ("id", "name")}.get(key, ())
    for number, each in enumerate(document.get(key) or (), 1):
        lacking = [name for name in wanted if not isinstance(each, dict) or name not in each]
        if lacking or not isinstance(each, dict):
            raise DataError(
                f"An entry of {key!r} has no {', '.join(lacking) or 'fields'}.",
                where=Where(file=file, row=number, field=key),
            )
        yield each
