"""The ways in which people write a box, and the one in which a dataset holds it.

A dataset holds, for each image, a list of ``{"x0", "y0", "x1", "y1", "class"}`` in pixels of the
image as it came; an image without a box has an empty list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lepta.core.errors import DataError, Where
from lepta.core.values import is_missing, label_of, number_of

Box = dict[str, Any]
CORNERS = ("x0", "y0", "x1", "y1")
_BY_CORNERS = (
    CORNERS,
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
_BY_SIZE = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
)
LABELS = ("class", "label", "category", "class_name", "category_name", "name", "type")
"""Names under which the class of a box is looked for, in this order."""


@dataclass(frozen=True)
class Form:
    """How a box is written: the names of its four numbers, and whether two of them are sizes."""

    names: tuple[str, ...]
    sized: bool

    def corners(self, record: Mapping[str, Any], where: Where) -> tuple[float, ...] | None:
        """Return x0, y0, x1, y1 of a record; None where all four are missing.

        Raises:
            DataError: a number is missing, no number or not finite, or the box has no area.
        """
        values = [record.get(name) for name in self.names]
        if all(value is None or value == "" or is_missing(value) for value in values):
            return None
        return corners_of(values, self.sized, where, self.names)


def form_of(names: Iterable[str]) -> Form | None:
    """Return the form whose four names all stand among ``names``, whatever their case."""
    known = {name.casefold(): name for name in names}
    for forms, sized in ((_BY_CORNERS, False), (_BY_SIZE, True)):
        for form in forms:
            if all(name in known for name in form):
                return Form(tuple(known[name] for name in form), sized)
    return None


def all_forms() -> str:
    """Return the names that are known, in words."""
    return "; ".join(", ".join(form) for form in (*_BY_CORNERS[:3], *_BY_SIZE[:1]))


def corners_of(
    values: Iterable[Any], sized: bool, where: Where, names: tuple[str, ...] = CORNERS
) -> tuple[float, ...]:
    """Return x0, y0, x1, y1 from four values: corners, or the first corner and the size.

    Raises:
        DataError: a value is missing, no number or not finite, or the box has no area.
    """
    numbers = []
    for name, value in zip(names, values, strict=True):
        try:
            number = number_of(value)
        except ValueError:
            number = float("nan")
        if not abs(number) < 1e9:
            raise DataError(
                f"{name} of a box is {value!r}, which is no finite number.",
                where=Where(file=where.file, row=where.row, field=where.field or name),
                fix="Give the place in pixels. An image without a box has no row, or a row with "
                "all four places empty.",
            )
        numbers.append(number)
    if sized:
        numbers[2:] = [numbers[0] + numbers[2], numbers[1] + numbers[3]]
    if numbers[2] <= numbers[0] or numbers[3] <= numbers[1]:
        shown = ", ".join(f"{number:g}" for number in numbers)
        raise DataError(
            f"The box ({shown}) has no area.",
            where=where,
            fix=f"{names[0]} and {names[1]} are its left and upper side, "
            + (f"{names[2]} and {names[3]} more than 0." if sized
               else f"{names[2]} and {names[3]} its right and lower side."),
        )  # fmt: skip
    return tuple(numbers)


def box(corners: Iterable[float], label: Any, where: Where) -> Box:
    """Return a box as a dataset holds it.

    Raises:
        DataError: it has no class.
    """
    name = label_of(label)
    if name is None:
        raise DataError("A box has no class.", where=where, fix="Name its class.")
    return {**dict(zip(CORNERS, corners, strict=True)), "class": name}


def boxes_of(value: Any, where: Where) -> list[Box]:
    """Return the boxes of one cell: a list of mappings.

    A mapping holds the four numbers under one of the known sets of names, or ``box`` (x0, y0, x1,
    y1) or ``bbox`` (x, y, width, height, as in COCO), and the class under one of :data:`LABELS`.

    Raises:
        DataError: it does not.
    """
    if not isinstance(value, list):
        raise DataError(
            f"A list of boxes was expected, got {type(value).__name__}.",
            where=where,
            fix='Write [{"x0": 1, "y0": 2, "x1": 30, "y1": 40, "class": "car"}].',
        )
    return [_box_of(record, where) for record in value]


def _box_of(record: Any, where: Where) -> Box:
    given = record if isinstance(record, Mapping) else {}
    names = {name for name, value in given.items() if value is not None}
    label = next((given[name] for name in LABELS if name in names), None)
    for name, sized in (("box", False), ("bbox", True)):
        if isinstance(given.get(name), list) and len(given[name]) == 4:
            return box(corners_of(given[name], sized, where), label, where)
    form = form_of(names)
    if form is None:
        raise DataError(
            f"A box is written {str(record)[:120]}, which has no four places.",
            where=where,
            fix=f"Name them in one of these ways: {all_forms()}.",
        )
    corners = form.corners(given, where)
    assert corners is not None  # noqa: S101 - none of them is missing
    return box(corners, label, where)
